"""Made-up records are in their hub's format: each benchmark reads its own, examples included."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightbench.accuracy import benchmarks, questions
from nightbench.rehearsal import made_up
from nightbench.suite.models import AccuracySpec

OF_A_HUB = [
    name
    for name in benchmarks.names()
    if benchmarks.find(name).huggingface or benchmarks.find(name).modelscope
]


@pytest.mark.parametrize("name", OF_A_HUB)
def test_a_benchmark_of_a_hub_reads_its_made_up_question(name: str, tmp_path: Path) -> None:
    benchmark = benchmarks.find(name)
    folder = made_up.write_records(benchmark, tmp_path)
    assert folder is not None
    spec = AccuracySpec(
        benchmark=name,
        data=str(folder),
        subsets=(benchmark.subsets[0].name,),
        limit=1,
        allow_code_execution=True,
    )
    prepared = questions.prepare(benchmark, spec, tmp_path)
    assert len(prepared.questions) == 1


def test_prompts_are_all_different(tmp_path: Path) -> None:
    lines = made_up.write_prompts(30, tmp_path / "deep" / "p.txt").read_text().splitlines()
    assert len(set(lines)) == 30

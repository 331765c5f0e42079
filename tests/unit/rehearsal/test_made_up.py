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


@pytest.mark.parametrize("few_shot", [None, 3])
@pytest.mark.parametrize("name", OF_A_HUB)
def test_a_benchmark_of_a_hub_reads_its_made_up_question(
    name: str, few_shot: int | None, tmp_path: Path
) -> None:
    benchmark = benchmarks.find(name)
    shots = benchmark.few_shot if few_shot is None else few_shot
    folder = made_up.write_records(benchmark, tmp_path, shots)
    assert folder is not None
    if not benchmark.shot_split:
        few_shot = None  # refused before anything is rehearsed
    spec = AccuracySpec(
        benchmark=name,
        data=str(folder),
        subsets=(benchmark.subsets[0].name,),
        limit=1,
        few_shot=few_shot,
        allow_code_execution=True,
    )
    prepared = questions.prepare(benchmark, spec, tmp_path)
    assert len(prepared.questions) == 1


def test_prompts_are_all_different(tmp_path: Path) -> None:
    lines = made_up.write_prompts(30, tmp_path / "deep" / "p.txt").read_text().splitlines()
    assert len(set(lines)) == 30

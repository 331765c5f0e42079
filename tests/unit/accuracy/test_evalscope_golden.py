"""What EvalScope 1.14.1 said, recorded by tests/benchmarks/evalscope_parity.py --write-golden."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nightbench.accuracy import benchmarks
from nightbench.accuracy.questions import prepare
from nightbench.accuracy.scoring.programs import code_scorer, humaneval_record
from nightbench.accuracy.scoring.rescoring import score_replies
from nightbench.data.loading import Record, read_records
from nightbench.errors import DataError
from nightbench.suite.models import AccuracySpec
from tests.unit.accuracy.hub_records import FOLDERS, HubFolder

GOLDEN = Path(__file__).with_name("golden")
REPLIES = read_records(GOLDEN / "replies.jsonl")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.benchmark)
def test_a_hubs_folder_is_read_and_its_prompts_are_evalscopes(
    folder: HubFolder, tmp_path: Path
) -> None:
    if folder.benchmark == "math":
        pytest.importorskip("math_verify")
    golden = json.loads((GOLDEN / "prompts.json").read_text())[folder.benchmark]
    spec = AccuracySpec(
        benchmark=folder.benchmark,
        data=".",
        subsets=tuple(folder.asked),
        allow_code_execution=True,
    )

    prepared = prepare(benchmarks.find(folder.benchmark), spec, folder.write(tmp_path))

    assert [question.prompt for question in prepared.questions] == golden


@pytest.mark.parametrize("name", ["iquiz", "mmlu", "gsm8k"])
def test_every_messy_reply_gets_evalscopes_score(name: str) -> None:
    if name == "gsm8k":
        pytest.importorskip("math_verify")
    replies: list[Record] = [row for row in REPLIES if row["benchmark"] == name]

    scores = score_replies(benchmarks.find(name), replies).scores

    differing = [
        (row["reply"], row["score"], score.correct)
        for row, score in zip(replies, scores, strict=True)
        if score.correct != (row["score"] == 1.0)
        or (score.extracted or "") != (row["extracted"] or "")
    ]
    assert differing == []


def test_every_program_gets_evalscopes_score() -> None:
    rows = read_records(GOLDEN / "programs.jsonl")
    with code_scorer() as score:
        scores = [score(humaneval_record(row), row["reply"]) for row in rows]

    assert [
        (row["reply"], row["score"])
        for row, score in zip(rows, scores, strict=True)
        if score.correct != (row["score"] == 1.0) or (score.extracted or "") != row["extracted"]
    ] == []
    assert 20 < sum(row["score"] for row in rows) < len(rows) - 20


def test_the_messy_replies_are_many_and_of_both_kinds() -> None:
    assert len(REPLIES) >= 500
    right = sum(row["score"] == 1.0 for row in REPLIES)
    assert 0.1 < right / len(REPLIES) < 0.9


def test_a_folder_without_the_subset_names_it_and_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no records for the subset 'main'"):
        prepare(benchmarks.find("gsm8k"), AccuracySpec(benchmark="gsm8k", data="."), tmp_path)
    (tmp_path / "test.jsonl").write_text('{"category": "arts"}')
    with pytest.raises(DataError, match="cmmlu/agronomy has no records in its test split"):
        prepare(benchmarks.find("cmmlu"), AccuracySpec(benchmark="cmmlu", data="."), tmp_path)


def test_one_file_is_not_taken_for_every_subset(tmp_path: Path) -> None:
    (tmp_path / "IQ.jsonl").write_text(
        '{"question": "?", "choices": ["a", "b"], "answer": "A", "level": 1}'
    )
    one = AccuracySpec(benchmark="iquiz", data="IQ.jsonl", subsets=("IQ",))

    assert len(prepare(benchmarks.find("iquiz"), one, tmp_path).questions) == 1
    with pytest.raises(DataError, match="has several subsets"):
        prepare(
            benchmarks.find("iquiz"), AccuracySpec(benchmark="iquiz", data="IQ.jsonl"), tmp_path
        )


def test_fewer_examples_than_are_to_be_shown_is_an_error(tmp_path: Path) -> None:
    folder = next(folder for folder in FOLDERS if folder.benchmark == "gsm8k").write(tmp_path)
    spec = AccuracySpec(benchmark="gsm8k", data=".", few_shot=9)

    with pytest.raises(DataError, match="has 7 examples in its train split, 9"):
        prepare(benchmarks.find("gsm8k"), spec, folder)


def test_a_seed_makes_a_random_choice_the_same_every_night(tmp_path: Path) -> None:
    folder = next(folder for folder in FOLDERS if folder.benchmark == "truthful_qa")
    folder.write(tmp_path)

    def chosen(seed: int | None) -> list[str]:
        spec = AccuracySpec(benchmark="truthful_qa", data=".", limit_per_subset=3, sample_seed=seed)
        prepared = prepare(benchmarks.find("truthful_qa"), spec, tmp_path)
        return [question.sample_id for question in prepared.questions]

    assert chosen(None) == [f"multiple_choice/{n}" for n in range(3)]
    assert chosen(1) == chosen(1)
    assert len({tuple(chosen(seed)) for seed in range(10)}) > 3

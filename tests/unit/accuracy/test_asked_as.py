"""What an answer belongs to: one question, asked in one way, held against one right answer."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from nightbench.accuracy import benchmarks
from nightbench.accuracy.asking_plan import measurement_key, plan_asking
from nightbench.accuracy.client import Ask
from nightbench.accuracy.evaluate import evaluate
from nightbench.accuracy.questions import prepare
from nightbench.accuracy.replies import AskFailed, Reply
from nightbench.accuracy.sample_files import ReplySettings, SampleFile, read_samples
from nightbench.endpoint import Endpoint
from nightbench.errors import BadInput
from nightbench.records import AccuracyResult, AccuracySample
from nightbench.suite.models import AccuracySpec, Suite

NOWHERE = Endpoint(base_url="http://127.0.0.1:9/v1", model="m")
QUESTION = {"question": "2+2=?", "choices": ["3", "4"]}


def spec(**fields: Any) -> AccuracySpec:
    return AccuracySpec.model_validate({"benchmark": "mcq", "data": "q.jsonl"} | fields)


def write(folder: Path, *rows: dict[str, Any], name: str = "q.jsonl") -> None:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def key(folder: Path, asked: AccuracySpec) -> str:
    return measurement_key(asked, prepare(benchmarks.find(asked.benchmark), asked, folder))


class Model:
    """Answers B, but for what it refuses, and remembers what it was asked."""

    def __init__(self, refuses: str = "\0") -> None:
        self.asked: list[str] = []
        self.refuses = refuses

    async def __call__(self, ask: Ask) -> Reply:
        await asyncio.sleep(0)
        self.asked.append(ask.prompt)
        if self.refuses in ask.prompt:
            raise AskFailed("bad_request", "HTTP 400: no")
        return Reply(text="答案：B", finish_reason="stop")


def evaluated(
    folder: Path, asked: AccuracySpec, model: Model | None = None
) -> tuple[AccuracyResult, tuple[AccuracySample, ...]]:
    """As `nightbench eval --samples s.jsonl --resume` does."""
    path, asked_as = folder / "s.jsonl", ReplySettings.of(asked, "m")
    already = read_samples(path, asked_as) if path.exists() else ()
    with SampleFile(path, asked_as, already) as file:
        results = evaluate(
            asked,
            NOWHERE,
            base_dir=folder,
            on_sample=file.add,
            already=already,
            on_plan=file.begin,
            send=model or Model(),
        )
    return results[0], read_samples(path)


def test_answers_of_before_are_held_against_the_right_answer_that_counts_now(
    tmp_path: Path,
) -> None:
    write(tmp_path, QUESTION | {"answer": "B"})
    before, _ = evaluated(tmp_path, spec())
    write(tmp_path, QUESTION | {"answer": "A"})
    model = Model()

    after, samples = evaluated(tmp_path, spec(), model)

    assert (before.accuracy, after.accuracy) == (1.0, 0.0)
    assert [(s.gold, s.correct, s.correct_strict) for s in samples] == [("A", False, False)]
    assert model.asked == []


def test_other_data_other_examples_and_another_wording_are_refused_and_lose_nothing(
    tmp_path: Path,
) -> None:
    write(tmp_path, QUESTION | {"answer": "B"}, name="default_val.jsonl")
    write(tmp_path, {"question": "1?"} | FOUR | {"answer": "A"}, name="default_dev.jsonl")
    evaluated(tmp_path, spec(data="."))
    written = (tmp_path / "s.jsonl").read_text()

    with pytest.raises(BadInput, match="a reply to another prompt for default/0"):
        evaluated(tmp_path, spec(data=".", few_shot=1))
    write(tmp_path, {"question": "3+3=?"} | FOUR | {"answer": "B"}, name="default_val.jsonl")
    with pytest.raises(BadInput, match="the data, the number of examples"):
        evaluated(tmp_path, spec(data="."))

    assert (tmp_path / "s.jsonl").read_text() == written


FOUR = {"choices": ["1", "2", "3", "4"]}


def test_fewer_questions_and_other_subsets_leave_the_answers_of_before_in_the_file(
    tmp_path: Path,
) -> None:
    starter = {"benchmark": "starter", "data": None, "limit_per_subset": 4}
    evaluated(tmp_path, spec(**starter, subsets=["IQ"]))

    fewer, kept = evaluated(tmp_path, spec(**starter | {"limit": 2}, subsets=["IQ"]))
    other, both = evaluated(tmp_path, spec(**starter, subsets=["EQ"]))
    again = Model()
    all_of_it, _ = evaluated(tmp_path, spec(**starter, subsets=["IQ", "EQ"]), again)

    assert (fewer.num_samples, len(kept)) == (2, 4)
    assert (other.num_samples, len(both)) == (4, 8)
    assert (all_of_it.num_samples, again.asked) == (8, [])


def test_a_failed_request_stays_in_the_file_until_it_is_made_again(tmp_path: Path) -> None:
    rows = [{"question": f"{n}?", "choices": ["x", "y"], "answer": "B"} for n in range(3)]
    write(tmp_path, *rows)
    evaluated(tmp_path, spec(), Model(refuses="2?"))

    _, fewer = evaluated(tmp_path, spec(limit=1))
    _, whole = evaluated(tmp_path, spec())

    assert [s.reply is None for s in sorted(fewer, key=lambda s: s.sample_id)] == [
        False,
        False,
        True,
    ]
    assert len(whole) == 3
    assert all(sample.reply for sample in whole)


def test_peoples_own_right_answers_are_part_of_the_measurement_key(tmp_path: Path) -> None:
    keys = []
    for answer in ("B", "A"):
        write(tmp_path, QUESTION | {"answer": answer})
        keys.append(key(tmp_path, spec()))
    write(tmp_path, {"question": "2+2=?", "A": 3, "B": "4", "answer": "b"})
    rewritten = key(tmp_path, spec())

    assert keys[0] != keys[1]
    assert rewritten == keys[0]


def test_every_setting_that_changes_the_question_changes_the_key(tmp_path: Path) -> None:
    starter = {"benchmark": "starter", "data": None, "limit_per_subset": 2}
    settings: list[dict[str, Any]] = [
        {},
        {"generation": {"temperature": 0.5}},
        {"generation": {"chat_template_kwargs": {"enable_thinking": False}}},
        {"generation": {"extra_body": {"reasoning_effort": "low"}}},
        {"system_prompt": "Be brief."},
        {"api": "completions"},
        {"max_concurrency": 1},
        {"repeats": 2},
        {"subsets": ["IQ"]},
        {"sample_seed": 1},
    ]

    keys = [key(tmp_path, spec(**starter | setting)) for setting in settings]

    assert len(set(keys)) == len(keys)


def test_keys_of_built_in_benchmarks_are_those_of_the_last_release() -> None:
    starter = spec(benchmark="starter", data=None, generation={"temperature": 0})

    assert key(Path(), starter) == "883628c92947bce9"
    assert key(Path(), starter.model_copy(update={"name": "cold"})) == "883628c92947bce9"
    assert (
        key(Path(), spec(benchmark="starter", data=None, repeats=2, subsets=["IQ"]))
        == "816e614628e3c175"
    )


def suite(*accuracy: dict[str, Any], own: tuple[dict[str, Any], ...] | None = None) -> Suite:
    target = {"name": "t", "engine": {"kind": "remote", "base_url": "http://127.0.0.1:1/v1"}}
    more = {} if own is None else {"accuracy": own}
    return Suite.model_validate({"name": "s", "targets": [target | more], "accuracy": accuracy})


def test_one_benchmark_in_two_ways_needs_two_names() -> None:
    cold = {"benchmark": "iquiz", "generation": {"temperature": 0}}
    warm = {"benchmark": "iquiz", "generation": {"temperature": 1}}

    for twice in ((cold, warm), (cold, warm | {"name": "iquiz"}), (cold, {"benchmark": "IQuiz"})):
        with pytest.raises(ValueError, match="iquiz appears twice: give each a name of its own"):
            suite(*twice)
    with pytest.raises(ValueError, match=r"targets\.t\.accuracy: iquiz appears twice"):
        suite(own=(cold, warm))

    labels = [entry.label for entry in suite(cold, warm | {"name": "iquiz-warm"}).accuracy]
    assert labels == ["iquiz", "iquiz-warm"]


def test_rows_carry_the_name_and_a_resumed_night_keeps_each_entrys_own_answers(
    tmp_path: Path,
) -> None:
    write(tmp_path, QUESTION | {"answer": "B"})
    cold, warm = spec(), spec(name="mcq-warm", generation={"temperature": 1})
    samples: list[AccuracySample] = []
    results = evaluate(warm, NOWHERE, base_dir=tmp_path, on_sample=samples.append, send=Model())

    plans = [
        plan_asking(prepare(benchmarks.find("mcq"), entry, tmp_path), 1, samples)
        for entry in (cold, warm)
    ]

    assert {row.benchmark for row in results} == {samples[0].benchmark} == {"mcq-warm"}
    assert [len(plan.kept) for plan in plans] == [0, 1]

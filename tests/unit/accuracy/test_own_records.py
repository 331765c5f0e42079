"""People's own records: what they mean, and which are refused before anything is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nightbench.accuracy import benchmarks
from nightbench.accuracy.questions import PreparedBenchmark, prepare
from nightbench.accuracy.scoring.rescoring import score_replies
from nightbench.errors import DataError
from nightbench.suite.models import AccuracySpec

FOUR = {"A": "3", "B": "4", "C": "5", "D": "6"}
ASKED = {"question": "2+2=?"}


def prepared(
    folder: Path, benchmark: str, *rows: dict[str, Any], name: str = "q.jsonl", **spec: Any
) -> PreparedBenchmark:
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / name).write_text(lines, encoding="utf-8")
    asked = {"benchmark": benchmark, "data": name} | spec
    return prepare(benchmarks.find(benchmark), AccuracySpec.model_validate(asked), folder)


@pytest.mark.parametrize(
    "row",
    [
        ASKED | FOUR | {"answer": "B"},
        ASKED | FOUR | {"answer": "b"},
        ASKED | FOUR | {"answer": " (B) "},
        ASKED | FOUR | {"answer": "B."},
        ASKED | FOUR | {"answer": "B. 4"},
        ASKED | FOUR | {"answer": "4"},
        ASKED | FOUR | {"answer": 4},
        ASKED | FOUR | {"answer": 1},
        ASKED | FOUR | {"answer": 1.0},
        ASKED | FOUR | {"answer": ["B"]},
        {"Question": "2+2=?", "a": "3", "b": "4", "Answer": "B"},
        ASKED | {"A": "3", "B": "4", "C": "", "D": None, "answer": "B"},
        ASKED | {"choices": ["3", "4"], "answer": "B"},
        ASKED | {"choices": [3, 4], "answer": "b"},
        ASKED | {"choices": FOUR, "answer": "B"},
        ASKED | {"choices": {"B": "4", "A": "3"}, "answer": "B"},
        ASKED | {"choices": {"a": "3", "b": "4"}, "answer": "b"},
        ASKED | {"choices": {"1": "3", "2": "4"}, "answer": "2"},
        ASKED | {"choices": '["3", "4"]', "answer": "B"},
        ASKED | {"choices": "['3', '4']", "answer": "B"},
        ASKED | {"choices": json.dumps(FOUR), "answer": "B"},
        ASKED | {"choices": {"text": ["3", "4"], "label": ["1", "2"]}, "answer": "2"},
        ASKED
        | {
            "choices": [{"label": "A", "text": "3"}, {"label": "B", "text": "4"}],
            "answer": "B",
        },
        ASKED | {"choices": ["3", "4", None, ""], "answer": "B"},
        ASKED | {"choices": None} | FOUR | {"answer": "B"},
        {"query": "2+2=?", "options": ["3", "4"], "label": 1},
    ],
)
def test_a_gold_and_choices_are_read_however_they_are_written(
    row: dict[str, Any], tmp_path: Path
) -> None:
    (asked,) = prepared(tmp_path, "mcq", row).questions

    assert asked.question.gold == "B"
    assert "A) 3\nB) 4" in asked.prompt


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (ASKED | FOUR | {"answer": "E"}, "'E' is none of the choices"),
        (ASKED | FOUR | {"answer": 9}, "9 is none of the choices"),
        (ASKED | FOUR | {"answer": -1}, "-1 is none of the choices"),
        (ASKED | FOUR | {"answer": "AB"}, "'AB' is none of the choices"),
        (ASKED | FOUR | {"answer": ["A", "B"]}, "expected one correct choice"),
        (ASKED | FOUR | {"answer": ""}, "no field 'answer'"),
        (ASKED | {"choices": [1, 2, 3], "answer": 1}, "matches 2 choices"),
        (ASKED | {"choices": ["x", "x", "y"], "answer": "x"}, "matches 2 choices"),
        (ASKED | {"choices": ["O", "A", "B"], "answer": "A"}, "and another's text"),
        (ASKED | {"A": "3", "B": "5", "C": "", "D": "4", "answer": "D"}, "choice C is empty"),
        (ASKED | {"choices": {"A": "3", "C": "4"}, "answer": "C"}, "choice B is empty"),
        (ASKED | {"choices": ["3", "", "4"], "answer": "A"}, "none empty"),
        (ASKED | {"choices": ["3"], "answer": "A"}, "at least two choices"),
        (ASKED | {"choices": "3 or 4", "answer": "A"}, "as a list or by label"),
        (ASKED | {"A": "3", "answer": "A"}, "at least the choices A and B"),
        (FOUR | {"question": "  ", "answer": "A"}, "no field 'question'"),
    ],
)
def test_a_record_that_is_not_certain_is_refused_by_its_number(
    row: dict[str, Any], said: str, tmp_path: Path
) -> None:
    good = ASKED | FOUR | {"answer": "B"}

    with pytest.raises(DataError, match="record 2 of mcq/default") as refused:
        prepared(tmp_path, "mcq", good, row)

    assert said in refused.value.message


def test_a_refused_record_has_its_own_number_under_a_random_choice(tmp_path: Path) -> None:
    rows = [ASKED | FOUR | {"answer": "B"} for _ in range(9)]
    rows[6] = ASKED | FOUR | {"answer": "E"}

    with pytest.raises(DataError, match="record 7 of"):
        prepared(tmp_path, "mcq", *rows, sample_seed=3)


@pytest.mark.parametrize(
    ("answer", "gold", "accepted"),
    [
        (0, "0", ()),
        (False, "False", ()),
        (4.0, "4", ()),
        (0.5, "0.5", ()),
        (["three", 3], "three", ("3",)),
        ('["three", "3"]', "three", ("3",)),
        ("[sic]", "[sic]", ()),
    ],
)
def test_a_short_answer_is_any_value(
    answer: object, gold: str, accepted: tuple[str, ...], tmp_path: Path
) -> None:
    (asked,) = prepared(tmp_path, "qa", {"question": "1-1=?", "answer": answer}).questions

    assert (asked.question.gold, asked.question.accepted) == (gold, accepted)


@pytest.mark.parametrize("answer", [None, "", " ", [], ["yes", ""], [["yes"]], {"text": "yes"}])
def test_a_short_answer_that_is_none_is_refused(answer: object, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="record 1 of qa/default"):
        prepared(tmp_path, "qa", {"question": "?", "answer": answer})


def test_records_that_do_not_say_their_subset_are_asked_as_one_of_their_own(
    tmp_path: Path,
) -> None:
    plain = prepared(tmp_path, "math_500", {"problem": "1+1", "answer": 0})
    some = prepared(
        tmp_path,
        "math_500",
        {"problem": "1+1", "answer": "2"},
        {"problem": "1+2", "answer": "3", "level": "Level 4"},
        {"problem": "1+3", "answer": "4", "level": 2},
    )
    subjects = prepared(
        tmp_path, "mmlu", {"question": "?", "choices": ["a", "b"], "answer": 0}, few_shot=0
    )

    assert [(q.sample_id, q.question.gold) for q in plain.questions] == [("other/0", "0")]
    assert [q.sample_id for q in some.questions] == ["Level 2/0", "Level 4/0", "other/0"]
    assert [q.sample_id for q in subjects.questions] == ["other/0"]


def test_one_file_of_a_data_set_of_seven_parts_is_read_once(tmp_path: Path) -> None:
    pytest.importorskip("math_verify")
    row = {"problem": "1+1", "solution": r"\boxed{2}", "level": "Level 1"}

    asked = prepared(tmp_path, "math", row, few_shot=0, subsets=["Level 1"]).questions

    assert len(asked) == 1


@pytest.mark.parametrize(
    ("reply", "gold", "choices"),
    [
        ("答案：B", "b", 4),
        ("答案：B", "4", FOUR),
        ("答案：B", "B", '["3", "4"]'),
        ("答案：B", 1, ["3", "4"]),
    ],
)
def test_replies_made_elsewhere_have_golds_and_choices_as_records_do(
    reply: str, gold: object, choices: object
) -> None:
    row = {"reply": reply, "gold": gold, "choices": choices}

    (score,) = score_replies(benchmarks.find("iquiz"), [row]).scores

    assert score.correct
    assert score.correct_strict


def test_a_reply_of_zero_is_a_reply() -> None:
    scores = score_replies(benchmarks.find("qa"), [{"reply": 0, "gold": 0}]).scores

    assert scores[0].correct


def test_a_reply_whose_gold_no_choice_has_is_refused_by_its_number() -> None:
    rows = [{"reply": "答案：A", "gold": "A"}, {"reply": "答案：AB", "gold": "AB"}]

    with pytest.raises(DataError, match="reply 2 cannot be scored"):
        score_replies(benchmarks.find("iquiz"), rows)


QUESTIONS = tuple({"question": f"{n}+1=?", "answer": f"#### {n + 1}"} for n in range(6))


def test_a_file_of_questions_has_no_examples(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds only questions, and gsm8k needs 4 examples") as said:
        prepared(tmp_path, "gsm8k", *QUESTIONS)

    assert "main_train.jsonl" in said.value.hint
    assert "few_shot: 0" in said.value.hint
    assert len(prepared(tmp_path, "gsm8k", *QUESTIONS, few_shot=0).questions) == 6


def test_a_folder_whose_one_file_is_asked_has_no_examples(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="6 of them are also asked"):
        prepared(tmp_path, "gsm8k", *QUESTIONS, name="main.jsonl", data=".")


def test_an_example_that_is_asked_too_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("\n".join(json.dumps(row) for row in QUESTIONS))
    again = {"question": " 0+1=? ", "answer": "so\n#### 1", "id": 7}

    (asked,) = prepared(tmp_path, "gsm8k", again, name="test.jsonl", data=".", few_shot=2).questions

    assert "0+1=?" not in asked.prompt.replace(again["question"].strip(), "", 1)
    assert "1+1=?" in asked.prompt
    assert "2+1=?" in asked.prompt


def test_enough_examples_elsewhere_are_shown_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "default_dev.jsonl").write_text(json.dumps(ASKED | FOUR | {"answer": "B"}))
    other = {"question": "2+3=?"} | FOUR | {"answer": "C"}

    (asked,) = prepared(
        tmp_path, "mcq", other, name="default_val.jsonl", data=".", few_shot=1
    ).questions

    assert asked.prompt.index("2+2=?") < asked.prompt.index("2+3=?")

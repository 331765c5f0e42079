from __future__ import annotations

import pytest

from nightbench.accuracy.benchmark import Question
from nightbench.accuracy.scoring.choices import read_label_en, read_label_zh, score_choice_zh
from nightbench.accuracy.scoring.strict_choices import read_label_strictly
from nightbench.accuracy.templates import labels

ABCD = labels(4)


@pytest.mark.parametrize(
    ("reply", "label"),
    [
        ("答案：B", "B"),
        ("答案: **C**", "C"),
        ("**答案：D**", "D"),
        ("想了想……\n答案：（A）", "A"),
        ("答案：【B】", "B"),
        ("答案：\\boxed{C}", "C"),
        ("答案：$\\boxed{\\text{D}}$", "D"),
        ("答案：A。", "A"),
        ("答案：A\n不对，再想想。\n答案：B", "B"),
        ("答案：B\n格式是“答案：[LETTER]”", "B"),
        ("答案：B, not C", "B"),
        ("答案：AB", None),
        ("答案：A, C", None),
        ("答案：b", None),
        ("答案：Ｂ", None),
        ("我觉得是C", "C"),
        ("I do not know, Bob", "B"),
        ("B is right, says Xu", None),
        ("没有字母", None),
        ("", None),
    ],
)
def test_the_faithful_reading_is_evalscopes_in_chinese(reply: str, label: str | None) -> None:
    assert read_label_zh(reply, ABCD) == label


@pytest.mark.parametrize(
    ("reply", "label"),
    [
        ("ANSWER: B", "B"),
        ("answer: [C]", "C"),
        ("**ANSWER: D**", "D"),
        ("ANSWER: B and C", None),
        ("ANSWER: B, not C", "B"),
        ("ANSWER: [LETTER]\nANSWER: A.", "A"),
        ("The answer is C", "C"),
        ("答案：C。 Done", "D"),
    ],
)
def test_the_faithful_reading_is_evalscopes_in_english(reply: str, label: str | None) -> None:
    assert read_label_en(reply, ABCD) == label


@pytest.mark.parametrize(
    ("reply", "label"),
    [
        ("B", "B"),
        ("(c).", "C"),
        ("答案：Ｂ", "B"),
        ("答案是 C", "C"),
        ("The answer is **D**.", "D"),
        ("The correct answer is (a), since it is so.", "A"),
        ("所以选B。", "B"),
        ("正确选项是：D", "D"),
        ("\\boxed{B}", "B"),
        ("First I thought the answer is A. No: the answer is B.", "B"),
        ("C) Lena", "C"),
        ("ANSWER: A or B", None),
        ("答案：A、C", None),
        ("I do not know, Bob", None),
        ("我觉得C不对", None),
        ("The answer is a table", None),
        ("The answer is Dublin", None),
        ("选项：\nA) 一\nB) 二", None),
        ("A) 48\nB) 36\nC) 30", None),
        ('"答案：[LETTER]"，其中 [LETTER] 是 A,B,C,D 中的一个', None),
        ("答案：E", None),
        ("", None),
    ],
)
def test_the_strict_reading_takes_only_a_presented_answer(reply: str, label: str | None) -> None:
    assert read_label_strictly(reply, ABCD) == label


def test_the_two_readings_are_scored_apart_and_keep_their_disagreement() -> None:
    question = Question(text="?", gold="B", choices=("x", "y", "z"))

    lucky = score_choice_zh(question, "I do not know, Bob")
    lower_case = score_choice_zh(question, "答案：b")

    assert (lucky.correct, lucky.correct_strict) == (True, False)
    assert (lower_case.correct, lower_case.correct_strict) == (False, True)
    assert lower_case.extraction_failed


def test_a_label_beyond_the_choices_is_no_answer() -> None:
    question = Question(text="?", gold="A", choices=("x", "y"))

    assert score_choice_zh(question, "答案：C").extraction_failed


def test_choices_after_the_letters_are_numbered() -> None:
    assert labels(28)[25:] == ("Z", "1", "2")

from __future__ import annotations

import pytest

from nightbench.accuracy.benchmark import Question
from nightbench.accuracy.scoring.phrases import score_phrase

COLD = Question(text='What is the opposite of "hot"?', gold="cold", accepted=("chilly",))


@pytest.mark.parametrize(
    "reply", ["Cold.", 'It is "COLD" or so', "the chilly one", "ｃｏｌｄ", "\n\ncold\n"]
)
def test_a_reply_that_says_the_answer_is_right(reply: str) -> None:
    assert score_phrase(COLD, reply).correct


@pytest.mark.parametrize("reply", ["coldness", "scold", "warm", "c o l d"])
def test_a_part_of_another_word_is_not_the_answer(reply: str) -> None:
    assert not score_phrase(COLD, reply).correct


def test_strictly_it_must_be_said_in_the_first_sentence() -> None:
    score = score_phrase(COLD, "Warm is a kind of hot. Cold is another.")

    assert score.correct
    assert not score.correct_strict


def test_only_an_empty_reply_has_no_answer() -> None:
    assert score_phrase(COLD, "  \n").extraction_failed
    assert not score_phrase(COLD, "warm").extraction_failed

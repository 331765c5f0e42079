"""A word that a verdict may be has a mark and a sentence, wherever it was added."""

from __future__ import annotations

from datetime import date
from typing import get_args

import pytest

from nightbench.verdicts.concern import MARKS
from nightbench.verdicts.night_replay import Judged, Said
from nightbench.verdicts.wording import sentence

WORDS = sorted({word for part in get_args(Said) for word in get_args(part)})


def test_the_marks_are_those_of_the_words() -> None:
    assert sorted(MARKS) == WORDS


@pytest.mark.parametrize("word", WORDS)
def test_each_word_is_a_sentence_about_its_target(word: Said) -> None:
    judged = Judged(target="qwen", hardware_class=None, node="node1", word=word)
    assert sentence(judged, date(2026, 11, 21)).startswith("qwen ")

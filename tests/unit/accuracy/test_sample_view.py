from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from nightbench.accuracy.sample_text import WHICH, Which, chosen_samples, sample_text
from nightbench.records import AccuracySample
from tests.unit.accuracy.test_summary import sample

SAMPLES = [
    sample(0, correct=True),
    sample(1, correct=False),
    sample(2, correct=False, reply=None),
    replace(sample(3, correct=False), extraction_failed=True, extracted=None, truncated=True),
    replace(sample(4, correct=True), correct_strict=True),
]


@pytest.mark.parametrize(
    ("which", "numbers"),
    [
        ("wrong", [1, 2, 3]),
        ("right", [0, 4]),
        ("unparsed", [3]),
        ("truncated", [3]),
        ("failed", [2]),
        ("disputed", [0]),
        ("all", [0, 1, 2, 3, 4]),
    ],
)
def test_each_kind_is_chosen(which: Which, numbers: list[int]) -> None:
    ids = [one.sample_id for one in chosen_samples(SAMPLES, which)]

    assert ids == [f"IQ/{number}" for number in numbers]
    assert which in WHICH


def shown(one: AccuracySample) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(sample_text(one))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_a_sample_shows_question_reply_and_how_it_was_read() -> None:
    text = shown(replace(SAMPLES[3], question="Why?", reply="Because\nof that"))

    assert "IQ/3" in text
    assert "wrong" in text
    assert "gold B, read as no answer" in text
    assert "truncated at max_tokens" in text
    assert "Why?" in text
    assert "│ of that" in text


def test_nothing_a_model_wrote_drives_the_terminal_or_is_read_as_markup() -> None:
    text = shown(replace(SAMPLES[0], reply="\x1b[2J[bold]x[/bold]" + "y" * 1_000_000))

    assert "\x1b" not in text
    assert "[bold]x[/bold]" in text
    assert len(text) < 3000


def test_a_failed_request_shows_what_went_wrong() -> None:
    assert "timeout: no reply" in shown(replace(SAMPLES[2], error="no reply within 600 s"))

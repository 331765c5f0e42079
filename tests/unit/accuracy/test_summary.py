from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from nightbench.accuracy.benchmark_summary import (
    Circumstances,
    accuracy_interval,
    passes_at_k,
    summarise,
)
from nightbench.accuracy.result_table import accuracy_table
from nightbench.records import AccuracySample
from nightbench.stats import wilson_interval

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def sample(
    question: int, *, correct: bool, subset: str = "IQ", repeat: int = 0, reply: str | None = "B"
) -> AccuracySample:
    return AccuracySample(
        benchmark="b",
        subset=subset,
        sample_id=f"{subset}/{question}",
        repeat=repeat,
        prompt_hash="0",
        question="?",
        reply=reply,
        reasoning=None,
        extracted="B",
        extracted_strict=None,
        gold="B",
        correct=correct,
        correct_strict=False,
        extraction_failed=reply is None,
        truncated=False,
        finish_reason="stop",
        error_kind=None if reply else "timeout",
        error=None,
        prompt_tokens=10,
        completion_tokens=None,
        reasoning_tokens=None,
        latency_ms=1.0,
        retries=0,
        asked_at=NOON,
    )


def around(ended_early: str | None = None, repeats: int = 1) -> Circumstances:
    return Circumstances(
        benchmark="b",
        measurement_key="k",
        started_at=NOON,
        duration_s=2.0,
        repeats=repeats,
        max_concurrency=4,
        data_digest="d",
        ended_early=ended_early,
    )


def test_there_is_a_row_over_all_and_one_per_subset() -> None:
    samples = [sample(n, correct=n < 3) for n in range(4)]
    samples += [sample(n, correct=False, subset="EQ") for n in range(4)]

    rows = summarise(samples, around())

    assert [(row.subset, row.num_samples, row.accuracy) for row in rows] == [
        ("all", 8, 3 / 8),
        ("IQ", 4, 3 / 4),
        ("EQ", 4, 0.0),
    ]
    assert (rows[0].ci_low, rows[0].ci_high) == wilson_interval(3, 8)
    assert rows[0].disagreements == 3
    assert rows[0].prompt_tokens == 80
    assert all(row.valid for row in rows)


def test_failures_count_as_wrong_and_more_than_one_percent_make_it_invalid() -> None:
    samples = [sample(n, correct=True) for n in range(98)]
    one = [*samples, *(sample(n, correct=n > 98, reply=None) for n in (98,))]
    two = [*one, sample(99, correct=False, reply=None)]

    fine, bad = (
        summarise([*one, sample(99, correct=True)], around())[0],
        summarise(two, around())[0],
    )

    assert (fine.num_failed, fine.accuracy, fine.valid) == (1, 0.99, True)
    assert (bad.num_failed, bad.invalid_reasons) == (2, ["failures"])


def test_an_early_end_is_the_reason_it_is_invalid() -> None:
    rows = summarise([sample(0, correct=True)], around("server_died"))

    assert all(row.invalid_reasons == ["server_died"] for row in rows)
    assert summarise([], around())[0].invalid_reasons == ["no_samples"]


def test_repeats_of_a_question_that_always_agree_add_no_precision() -> None:
    once = [sample(n, correct=n % 2 == 0) for n in range(100)]
    thrice = [sample(n, correct=n % 2 == 0, repeat=k) for n in range(100) for k in range(3)]

    assert accuracy_interval(thrice) == pytest.approx(accuracy_interval(once), abs=0.002)


def test_repeats_that_are_independent_add_all_of_theirs() -> None:
    # every question is right in exactly one of two repeats: as informative as it gets
    mixed = [sample(n, correct=k == n % 2, repeat=k) for n in range(50) for k in range(2)]

    assert accuracy_interval(mixed) == pytest.approx(wilson_interval(50, 100))


def test_pass_at_k_is_the_chance_that_one_of_k_answers_is_right() -> None:
    # of four answers each: two right, none, all
    right = {0: 2, 1: 0, 2: 4}
    samples = [sample(n, correct=k < c, repeat=k) for n, c in right.items() for k in range(4)]

    row = summarise(samples, around(repeats=4))[0]

    assert row.pass_at_k == pytest.approx([1 / 2, (5 / 6 + 1) / 3, 2 / 3, 2 / 3])
    assert row.pass_at_k is not None
    assert row.pass_at_k[0] == pytest.approx(row.accuracy)


def test_pass_at_k_goes_no_further_than_every_question_was_asked() -> None:
    samples = [sample(0, correct=True, repeat=k) for k in range(3)]
    samples += [sample(1, correct=False, repeat=k) for k in range(2)]

    assert passes_at_k(samples) == pytest.approx([1 / 2, 1 / 2])
    assert summarise(samples[:1], around())[0].pass_at_k is None
    assert summarise([], around(repeats=3))[0].pass_at_k == []


def test_the_table_of_repeats_shows_pass_at_k_and_still_fits() -> None:
    samples = [
        sample(n, correct=k == 0, subset="middle_school_math", repeat=k)
        for n in range(9)
        for k in range(3)
    ]
    console = Console(width=80, file=io.StringIO())
    console.print(accuracy_table(summarise(samples, around(repeats=3))))

    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "b: avg@3 33.3%, pass@3 100.0%" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_the_table_fits_an_ordinary_terminal_and_shows_what_spoils_a_score() -> None:
    samples = [sample(n, correct=True, subset="middle_school_math") for n in range(9)]
    samples.append(sample(9, correct=False, reply=None, subset="evil\x1b[2J"))
    console = Console(width=80, file=io.StringIO())
    console.print(accuracy_table(summarise(samples, around("server_died"))))

    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "90.0%" in text
    assert "60–98" in text
    assert "1 failed, invalid: server_died" in text
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines()) <= 80


def replied(reply: str, *, reasoning: str | None = None, cut: bool = False) -> AccuracySample:
    one = sample(0, correct=False, reply=reply)
    return replace(one, reasoning=reasoning, truncated=cut, extracted=None)


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ([replied("", reasoning="so B it is")] * 3, "no_content"),
        ([replied(" \n")] * 3, "empty_replies"),
        ([replied("Let me think", cut=True)] * 3, "all_truncated"),
    ],
)
def test_replies_that_say_nothing_of_the_model_are_no_score_of_zero(
    replies: list[AccuracySample], reason: str
) -> None:
    whole, _ = summarise(replies, around())
    assert (whole.accuracy, whole.valid, whole.invalid_reasons) == (0.0, False, [reason])


def test_one_real_reply_makes_a_score_of_zero_a_score() -> None:
    nothing = replied("", reasoning="hm")
    assert summarise([nothing, replied("I do not know")], around())[0].valid
    assert summarise([replied("I thi", cut=True), replied("C")], around())[0].valid


def test_one_letter_cut_at_one_token_is_an_answer() -> None:
    letter = replace(
        sample(0, correct=True, reply="B"),
        truncated=True,
        extracted_strict="B",
        correct_strict=True,
    )
    assert summarise([letter, letter], around())[0].valid

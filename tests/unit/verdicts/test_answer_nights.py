"""Benchmarks over nights: what is found, what stays open, what recovers, what is accepted."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from nightbench.verdicts.accuracy import Answers
from nightbench.verdicts.answer_nights import (
    AnswerNight,
    JudgedAnswers,
    OpenChange,
    accuracy_sentence,
    judge_answers,
)
from tests.unit.verdicts.rows import BEGAN

QUESTIONS = 120


def nights(count: int, *, lost: range = range(0), seed: int = 5) -> list[AnswerNight]:
    """Greedy answers: most questions are always right or always wrong, a few wobble. On the nights
    of `lost`, twelve that were always right are wrong."""
    rng = np.random.default_rng(seed)
    found = []
    for night in range(count):
        right = {}
        for number in range(QUESTIONS):
            share = 1.0 if number < 80 else 0.0 if number < 105 else 0.5
            gone = night in lost and number < 12
            right[f"q{number}"] = int(rng.random() < share and not gone)
        began = BEGAN + timedelta(days=night)
        found.append(
            AnswerNight(
                run_id=f"run{night:04}",
                began=began,
                night=began.date(),
                provenance="p0",
                answers=Answers(right=right, asked=dict.fromkeys(right, 1)),
            )
        )
    return found


def replay(all_nights: list[AnswerNight], first: int) -> list[JudgedAnswers]:
    """Each night judged when it came, by what was said before."""
    event, in_event, said = None, set[str](), []
    for number in range(first, len(all_nights)):
        judged = judge_answers(all_nights[: number + 1], event=event, in_event=in_event)
        said.append(judged)
        event = None
        if judged.open_kind and judged.since:
            event = OpenChange(kind=judged.open_kind, since=judged.since)
            since = [one.run_id for one in all_nights[: number + 1] if one.night >= judged.since]
            in_event |= set(since)
    return said


def test_a_drop_of_ten_points_is_found_on_its_night_and_names_what_flipped() -> None:
    all_nights = nights(15, lost=range(14, 15))
    judged = judge_answers(all_nights)
    assert (judged.word, judged.since) == ("regressed", all_nights[14].night)
    assert judged.verdict is not None
    assert set(judged.verdict.lost) == {f"q{number}" for number in range(12)}
    text = accuracy_sentence("a", "iquiz", judged, all_nights[14].night, "vLLM 0.32 → 0.33")
    assert text.startswith("a regressed on iquiz: ")
    assert "points (−" in text
    assert "since tonight; vLLM 0.32 → 0.33; flipped: q0, q1" in text


def test_quiet_nights_are_as_they_were() -> None:
    assert {judged.word for judged in replay(nights(20), 8)} == {"ok"}


def test_a_drop_stays_open_until_two_nights_are_back() -> None:
    said = replay(nights(22, lost=range(12, 18)), 11)
    assert [judged.word for judged in said] == [
        "ok", *["regressed"] * 7, "recovered", "ok", "ok",
    ]  # fmt: skip
    assert {judged.since for judged in said[1:8]} == {nights(13)[12].night}


def test_an_accepted_drop_is_the_new_level_from_its_first_night_on() -> None:
    all_nights = nights(20, lost=range(10, 20))
    since = all_nights[10].night
    in_event = {one.run_id for one in all_nights[10:16]}
    judged = judge_answers(all_nights, in_event=in_event, level_from=since)
    assert judged.word == "ok"


def test_with_few_nights_nothing_is_claimed() -> None:
    assert judge_answers(nights(3, lost=range(2, 3))).word == "inconclusive"

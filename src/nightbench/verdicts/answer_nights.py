"""Benchmarks over nights: which nights a benchmark is held against, and what is open of it.

`accuracy.judge_accuracy` compares tonight with accepted nights. Here is decided which those are: a
night of an open event is not, nor what lies before the first night of an accepted one. An event
stays until two nights running lie nearer to the level before it than to what it fell to.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from nightbench.verdicts.accuracy import FEWEST_NIGHTS, AccuracyVerdict, Answers, judge_accuracy

_WINDOW = 5
_BASELINE = 60
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerNight:
    """One run of a benchmark by a target."""

    run_id: str
    began: datetime
    night: date
    provenance: str
    answers: Answers


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenChange:
    """An event of a benchmark: open before tonight, since that run."""

    kind: Literal["regressed", "improved"]
    since: date


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedAnswers:
    """What is said about a benchmark tonight. Accuracies are shares, changes are points."""

    word: Literal["ok", "inconclusive", "regressed", "improved", "recovered"]
    accuracy: float
    verdict: AccuracyVerdict | None = None
    since: date | None = None
    since_run: str | None = None
    before_run: str | None = None
    open_kind: Literal["regressed", "improved"] | None = None
    nights: int = 0


def judge_answers(
    nights: Sequence[AnswerNight],
    *,
    event: OpenChange | None = None,
    in_event: Collection[str] = (),
    level_from: date | None = None,
) -> JudgedAnswers:
    """Judge the last of these nights, which are in order and asked the same.

    `event`: what was open before tonight. `in_event`: the runs of open events, this one's and
    earlier ones'. `level_from`: the first night of the newest change that a person accepted.
    """
    tonight, before = nights[-1], nights[:-1]
    if level_from is not None:
        before = [one for one in before if one.night >= level_from]
        in_event = {run for run in in_event if _night_of(nights, run) < level_from}
    calm = [one for one in before if one.run_id not in in_event]
    recent, history = _split(tonight, before, calm)
    changed = sum(one.provenance == tonight.provenance for one in history) < FEWEST_NIGHTS
    answers = [one.answers for one in history[-_BASELINE:]]
    verdict = judge_accuracy(answers, [one.answers for one in recent], changed=changed)
    accuracy = _accuracy(tonight.answers)
    if len(history) < FEWEST_NIGHTS:
        word: Literal["regressed", "improved", "inconclusive"] = (
            event.kind if event else "inconclusive"
        )
        return JudgedAnswers(
            word=word,
            accuracy=accuracy,
            since=event.since if event else None,
            open_kind=event.kind if event else None,
            nights=len(history) + 1,
        )
    if event is not None:
        return _followed(event, answers, nights, accuracy=accuracy, changed=changed)
    if verdict.word in ("regressed", "improved"):
        first = recent[-verdict.window]
        return JudgedAnswers(
            word=verdict.word,
            accuracy=accuracy,
            verdict=verdict,
            since=first.night,
            since_run=first.run_id,
            before_run=history[-1].run_id,
            open_kind=verdict.word,
            nights=len(history) + 1,
        )
    return JudgedAnswers(word="ok", accuracy=accuracy, verdict=verdict, nights=len(history) + 1)


def _split(
    tonight: AnswerNight, before: Sequence[AnswerNight], calm: Sequence[AnswerNight]
) -> tuple[list[AnswerNight], list[AnswerNight]]:
    """The nights judged together, tonight last (all of tonight's provenance), and the calm nights
    older than they. The window never leaves fewer nights than it takes to be held against."""
    longest = max(1, min(_WINDOW, len(calm) + 1 - FEWEST_NIGHTS))
    recent, quiet = [tonight], {one.run_id for one in calm}
    for one in reversed(before):
        if len(recent) == longest or one.provenance != tonight.provenance:
            break
        if one.run_id not in quiet:
            break
        recent.insert(0, one)
    runs = {one.run_id for one in recent}
    return recent, [one for one in calm if one.run_id not in runs]


def _followed(
    event: OpenChange,
    history: Sequence[Answers],
    nights: Sequence[AnswerNight],
    *,
    accuracy: float,
    changed: bool,
) -> JudgedAnswers:
    """One more night of an open event."""
    sign = -1.0 if event.kind == "regressed" else 1.0
    since = [one for one in nights if one.night >= event.since]
    newest = since[-_WINDOW:]
    alone = [judge_accuracy(history, [one.answers], changed=changed) for one in newest]
    size = sum(one.change_points for one in alone) / len(alone)
    back = [sign * one.change_points < sign * size / 2 or one.p_value > 0.2 for one in alone[-2:]]
    over = len(back) == 2 and all(back)
    earlier = [one for one in nights if one.night < event.since]
    return JudgedAnswers(
        word="recovered" if over else event.kind,
        accuracy=accuracy,
        verdict=alone[-1],
        since=event.since,
        since_run=since[0].run_id if since else None,
        before_run=earlier[-1].run_id if earlier else None,
        open_kind=None if over else event.kind,
        nights=len(history) + 1,
    )


def _accuracy(answers: Answers) -> float:
    return sum(answers.right.values()) / max(sum(answers.asked.values()), 1)


def _night_of(nights: Sequence[AnswerNight], run_id: str) -> date:
    return next((one.night for one in nights if one.run_id == run_id), date.min)


def accuracy_sentence(
    target: str, benchmark: str, judged: JudgedAnswers, tonight: date, changed: str = ""
) -> str:
    """`a lost accuracy on iquiz: 75.5 %, −5.5 points (−8.1 … −2.9) since tonight; …`."""
    now = f"{100 * judged.accuracy:.1f} %"
    verdict = judged.verdict
    since = "since tonight"
    if judged.since is not None and judged.since != tonight:
        since = f"since {judged.since:%Y-%m-%d}"
    if judged.word == "inconclusive":
        return f"{target} on {benchmark} has little to be held against yet: night {judged.nights}"
    if judged.word == "ok":
        return f"{target} on {benchmark} is as it was ({now} right)"
    if judged.word == "recovered":
        return f"{target} on {benchmark} has recovered ({now} right): the change {since} is over"
    size, flipped = "", ""
    if verdict is not None:
        ends = (verdict.change_points, verdict.low_points, verdict.high_points)
        points, low, high = (f"{end:+.1f}".replace("-", "−") for end in ends)
        size = f", {points} points ({low} … {high})"
        asked = verdict.lost if judged.word == "regressed" else verdict.gained
        if asked:
            more = f" and {len(asked) - _SHOWN} more" if len(asked) > _SHOWN else ""
            flipped = f"; flipped: {', '.join(asked[:_SHOWN])}{more}"
    what = changed or "nothing that is known of it has changed"
    return f"{target} {judged.word} on {benchmark}: {now} right{size} {since}; {what}{flipped}"

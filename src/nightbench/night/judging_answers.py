"""The benchmarks of a run are judged: read from the history, each question by its own past."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from nightbench.history.reading import History
from nightbench.history.sql_files import statement
from nightbench.night.changed_facts import changed_between
from nightbench.records import VerdictRow
from nightbench.verdicts.accuracy import Answers
from nightbench.verdicts.answer_nights import (
    AnswerNight,
    JudgedAnswers,
    OpenChange,
    accuracy_sentence,
    judge_answers,
)
from nightbench.verdicts.measured import Acceptance, RanTarget

Pair = tuple[str, str]  # target and benchmark


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What was said about a benchmark in an earlier run."""

    run_id: str
    word: str
    event_kind: str | None
    since: date | None


def judge_benchmarks(
    history: History,
    run_id: str,
    ran: Sequence[RanTarget],
    accepted: Sequence[Acceptance],
    moment: datetime,
) -> list[VerdictRow]:
    """A row for each benchmark that the run's targets were asked, or were asked the run before."""
    places = {(row.run_id, row.target): row for row in ran}
    nights, invalid = _nights(history, run_id, places)
    said = _said_before(history, run_id)
    rows = [
        _invalid_row(places[run_id, target], benchmark, reasons, said[target, benchmark], moment)
        for (target, benchmark), reasons in sorted(invalid.items())
    ]
    for pair, found in sorted(nights.items()):
        place = places[run_id, pair[0]]
        if pair in invalid:
            continue
        if len(found) == 1 and said[pair]:
            rows.append(_anew_row(place, pair[1], said[pair], moment))
        else:
            judged = _judge(found, said[pair], _accepted_of(pair, accepted))
            rows.append(_row(history, place, pair[1], judged, moment))
    missed = history.sql(statement("asked_before"), run_id=run_id).rows
    for target, benchmark in ((str(t), str(b)) for t, b in missed):
        place = places[run_id, target]
        if place.status != "completed":
            continue  # the target's own verdict says that it was not measured
        rows.append(_missed_row(place, benchmark, said[target, benchmark], moment))
    return rows


def _nights(
    history: History, run_id: str, places: dict[tuple[str, str], RanTarget]
) -> tuple[dict[Pair, list[AnswerNight]], dict[Pair, str]]:
    """The nights of each benchmark in order; why tonight's is not valid, where it is not."""
    right: dict[tuple[Pair, str], dict[str, int]] = defaultdict(dict)
    asked: dict[tuple[Pair, str], dict[str, int]] = defaultdict(dict)
    invalid: dict[Pair, str] = {}
    for run, target, benchmark, valid, reasons, question, good, number in history.rows(
        "judged_answers", run_id=run_id
    ).rows:
        pair = (str(target), str(benchmark))
        if not valid:
            invalid[pair] = str(reasons)
        right[pair, str(run)][str(question)] = int(str(good))
        asked[pair, str(run)][str(question)] = int(str(number))
    nights: dict[Pair, list[AnswerNight]] = defaultdict(list)
    for (pair, run), questions in asked.items():
        place = places.get((run, pair[0]))
        if place is None:  # of another machine
            continue
        nights[pair].append(
            AnswerNight(
                run_id=run,
                began=place.began,
                night=place.night,
                provenance=place.provenance,
                answers=Answers(right=right[pair, run], asked=questions),
            )
        )
    for found in nights.values():
        found.sort(key=lambda one: (one.began, one.run_id))
    return nights, invalid


def _said_before(history: History, run_id: str) -> dict[Pair, list[_Said]]:
    said: dict[Pair, list[_Said]] = defaultdict(list)
    found = history.sql(statement("accuracy_verdicts"), run_id=run_id)
    for run, target, _, benchmark, verdict, kind, _, since in found.rows:
        said[str(target), str(benchmark)].append(
            _Said(
                run_id=str(run),
                word=str(verdict),
                event_kind=None if kind is None else str(kind),
                since=since if isinstance(since, date) else None,
            )
        )
    return said


def _accepted_of(pair: Pair, accepted: Sequence[Acceptance]) -> list[datetime]:
    return [one.made_at for one in accepted if (one.target, one.benchmark) == pair]


def _judge(
    nights: Sequence[AnswerNight], said: Sequence[_Said], accepted: Sequence[datetime]
) -> JudgedAnswers:
    began = {one.run_id: one.began for one in nights}
    moments = [moment for moment in accepted if moment < nights[-1].began]
    level_from = None
    for moment in moments:  # what was open when it was accepted is the level since its first night
        open_then = [one for one in said if began.get(one.run_id, moment) < moment]
        if open_then and open_then[-1].event_kind and open_then[-1].since:
            level_from = open_then[-1].since
    last = max(moments, default=None)
    event = None
    newest = said[-1] if said else None
    if newest is not None and newest.event_kind and newest.since is not None:
        worse = newest.event_kind == "regressed"
        if last is None or began.get(newest.run_id, nights[0].began) > last:
            event = OpenChange(kind="regressed" if worse else "improved", since=newest.since)
    in_event = {one.run_id for one in said if one.event_kind} | {
        one.run_id for one in nights[:-1] if event and one.night >= event.since
    }
    return judge_answers(nights, event=event, in_event=in_event, level_from=level_from)


def _row(
    history: History, place: RanTarget, benchmark: str, judged: JudgedAnswers, moment: datetime
) -> VerdictRow:
    verdict = judged.verdict
    changed = changed_between(history, place.target, judged.before_run, judged.since_run)
    points = verdict.change_points if verdict else None
    before = None if points is None else judged.accuracy - points / 100.0
    return VerdictRow(
        target=place.target,
        hardware_class=place.hardware_class,
        measurement_key="",
        name=benchmark,
        subset_or_level="all",
        metric="accuracy",
        verdict=judged.word,
        value=judged.accuracy,
        baseline=before,
        relative_change=points / 100.0 / before if points is not None and before else None,
        p_value=verdict.p_value if verdict else None,
        since=judged.since,
        detail=accuracy_sentence(place.target, benchmark, judged, place.night, changed),
        judged_at=moment,
        node=place.node,
        size_pct=-points if points is not None else None,
        lo_pct=-verdict.high_points if verdict else None,
        hi_pct=-verdict.low_points if verdict else None,
        event=_event(place, benchmark, judged.since),
        event_kind=judged.open_kind,
        notice=False,
        is_new=judged.word == "inconclusive",
        touched=list(verdict.lost + verdict.gained) if verdict and judged.since else [],
        changed=changed or None,
    )


def _event(place: RanTarget, benchmark: str, since: date | None) -> str | None:
    return f"{place.target}-{benchmark}-{since:%Y%m%d}" if since else None


def _invalid_row(
    place: RanTarget, benchmark: str, reasons: str, said: Sequence[_Said], moment: datetime
) -> VerdictRow:
    what = f"could not be judged on {benchmark}: the result is not valid ({reasons})"
    return _without_number(place, benchmark, said, word="invalid", what=what, moment=moment)


def _missed_row(
    place: RanTarget, benchmark: str, said: Sequence[_Said], moment: datetime
) -> VerdictRow:
    what = f"did not run {benchmark}, which it ran the time before"
    return _without_number(place, benchmark, said, word="not measured", what=what, moment=moment)


def _anew_row(
    place: RanTarget, benchmark: str, said: Sequence[_Said], moment: datetime
) -> VerdictRow:
    what = f"starts a new series on {benchmark}: it asks something else, or runs on other hardware"
    return _without_number(place, benchmark, said, word="method changed", what=what, moment=moment)


def _without_number(
    place: RanTarget,
    benchmark: str,
    said: Sequence[_Said],
    *,
    word: str,
    what: str,
    moment: datetime,
) -> VerdictRow:
    """What is open stays open."""
    before = said[-1] if said and said[-1].event_kind else None
    since = before.since if before else None
    still = f"; it is still {before.event_kind} since {since:%Y-%m-%d}" if before and since else ""
    return VerdictRow(
        target=place.target,
        hardware_class=place.hardware_class,
        measurement_key="",
        name=benchmark,
        subset_or_level="all",
        metric="accuracy",
        verdict=word,
        since=since,
        detail=f"{place.target} {what}{still}",
        judged_at=moment,
        node=place.node,
        event=_event(place, benchmark, since),
        event_kind=before.event_kind if before else None,
        notice=False,
        is_new=False,
        touched=[],
    )

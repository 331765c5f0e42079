"""What people say about verdicts: rows with author, reason and time, landed like all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from nightbench.errors import BadInput, HistoryError
from nightbench.history.clock import Now, utc_now
from nightbench.history.ingest import land
from nightbench.history.reading import History, open_history
from nightbench.history.spool.writer import Spool, SpoolIdentity
from nightbench.history.sql_files import statement
from nightbench.home.paths import Home
from nightbench.records import AnnotationRow


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenEvent:
    """What a person may speak of; a machine's event has several targets."""

    event: str
    kind: str
    targets: tuple[str, ...]
    hardware_class: str | None
    benchmark: str | None  # of an event of accuracy
    since: date | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """What is said, and by whom; `event` None where a target is meant as it is."""

    kind: str  # accepted, refused, acknowledged, note
    reason: str
    author: str
    owner: str | None = None
    ticket: str | None = None
    quiet_until: date | None = None


def open_events(history: History) -> list[OpenEvent]:
    """What is open, the oldest first."""
    found = history.sql(statement("events"))
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    return [
        OpenEvent(
            event=str(row["event"]),
            kind=str(row["kind"]),
            targets=tuple(str(row["target"]).split(", ")),
            hardware_class=None if row["hardware_class"] is None else str(row["hardware_class"]),
            benchmark=str(row["name"]) if row["metric"] == "accuracy" else None,
            since=row["since"] if isinstance(row["since"], date) else None,
            detail=str(row["detail"] or ""),
        )
        for row in rows
    ]


def quiet_events(home: Home) -> set[str]:
    """The events that somebody has taken on and that are to be quiet today."""
    with open_history(home) as history:
        return {str(row[0]) for row in history.sql(statement("quiet_events")).rows}


def accept(home: Home, what: str, remark: Remark, *, now: Now = utc_now) -> list[AnnotationRow]:
    """Take the change of an event, or all that is open of a target, for the new level. Where
    nothing is open of it, what the target ran last becomes the accepted configuration.

    Raises:
        BadInput: there is neither an event nor a target of that name.
    """
    with open_history(home) as history:
        meant = _events_meant(open_events(history), what)
        if not meant:
            _refuse_unknown(history, what)
    rows = [row for event in meant for row in _rows_of(event, remark, now)]
    return _land(home, rows or [_row(what, remark, now)], now)


def refuse(home: Home, what: str, remark: Remark, *, now: Now = utc_now) -> list[AnnotationRow]:
    """Say of an event, or of all that is open of a target, that it is not the new level: it stays
    open. Raises BadInput where nothing of that name is open."""
    with open_history(home) as history:
        meant = _events_meant(open_events(history), what)
    if not meant:
        raise BadInput(
            f"nothing is open of {what!r}", hint="`nightbench events` lists what is open."
        )
    return _land(home, [row for event in meant for row in _rows_of(event, remark, now)], now)


def say_of_event(home: Home, name: str, remark: Remark, *, now: Now = utc_now) -> OpenEvent:
    """Say something about an open event. Raises BadInput where none has that name."""
    with open_history(home) as history:
        events = open_events(history)
    named = {event.event: event for event in events}
    if name not in named:
        there = ", ".join(named) or "none"
        raise BadInput(f"no event {name!r} is open", hint=f"Open events: {there}.")
    _land(home, _rows_of(named[name], remark, now), now)
    return named[name]


def say_of_target(home: Home, target: str, remark: Remark, *, now: Now = utc_now) -> AnnotationRow:
    """Say something about a target. Raises BadInput where none has that name."""
    with open_history(home) as history:
        _refuse_unknown(history, target)
    return _land(home, [_row(target, remark, now)], now)[0]


def _events_meant(events: Sequence[OpenEvent], what: str) -> list[OpenEvent]:
    named = [event for event in events if event.event == what]
    return named or [event for event in events if what in event.targets]


def _refuse_unknown(history: History, target: str) -> None:
    names = [str(row[0]) for row in history.sql(statement("target_names")).rows]
    if target not in names:
        raise BadInput(
            f"no open event and no target is called {target!r}",
            hint=f"Targets: {', '.join(names) or 'none'}. `nightbench events` lists what is open.",
        )


def _rows_of(event: OpenEvent, remark: Remark, now: Now) -> list[AnnotationRow]:
    rows = [_row(target, remark, now) for target in event.targets]
    benchmark = event.benchmark
    return [
        replace(
            row,
            event=event.event,
            hardware_class=event.hardware_class,
            name=benchmark,
            metric="accuracy" if benchmark else None,
        )
        for row in rows
    ]


def _row(target: str, remark: Remark, now: Now) -> AnnotationRow:
    return AnnotationRow(
        target=target,
        kind=remark.kind,
        reason=remark.reason,
        author=remark.author,
        made_at=now(),
        owner=remark.owner,
        ticket=remark.ticket,
        quiet_until=remark.quiet_until,
    )


def _land(home: Home, rows: list[AnnotationRow], now: Now) -> list[AnnotationRow]:
    """In folders of their own beside the newest run of each target, into the history."""
    stamp = f"_said-{now():%Y%m%dT%H%M%S%f}"
    with open_history(home) as history:
        for number, row in enumerate(rows):
            found = history.sql(statement("newest_run_of_target"), target=row.target).rows
            run_id, night, _ = found[0]
            identity = SpoolIdentity(
                run_id=str(run_id),
                target=f"{stamp}-{number}",
                night=night,  # type: ignore[arg-type]
            )
            with Spool.open(home.spool, identity, now=now) as spool:
                spool.append(row)
    damaged = land(home).damaged
    if damaged:
        raise HistoryError(f"not everything was ingested: {damaged[0].reason}")
    return rows

"""Gates: what a suite demands of a run, and of what the run means."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nightbench.records import VerdictRow
from nightbench.suite.models import Gates

_UNKNOWN = ("not measured", "invalid", "starved")


def failed_gates(gates: Gates, accuracy: Sequence[tuple[str, str, float]]) -> list[str]:
    """A line for each threshold that does not hold.

    `accuracy` is (target, benchmark, accuracy over all of it). A benchmark that a gate names and
    nobody measured does not pass.
    """
    lines = []
    for benchmark, minimum in gates.min_accuracy.items():
        measured = [(target, value) for target, name, value in accuracy if name == benchmark]
        if not measured:
            lines.append(f"gate min_accuracy.{benchmark}: it was not measured")
        lines += [
            f"gate min_accuracy.{benchmark}: {target} reached {value:.1%}, required ≥ {minimum:.1%}"
            for target, value in measured
            if value < minimum
        ]
    return lines


def failed_regressions(
    gates: Gates, verdicts: Sequence[VerdictRow], *, quiet: Collection[str] = ()
) -> list[str]:
    """A line for each target that is worse by `max_regression` or more: an event that is open, or a
    notice, which may yet turn out to be the machine. What could not be told does not pass either.

    `quiet`: events that somebody has taken on until some date.
    """
    limit = gates.max_regression
    if limit is None:
        return []
    if not verdicts:
        return ["gate max_regression: the run was not judged"]
    name = f"gate max_regression {limit:.1%}"
    return [
        f"{name}: {row.detail}"
        for row in verdicts
        if row.verdict in _UNKNOWN
        or (_is_worse(row) and _amount(row) >= limit and row.event not in quiet)
    ]


def held_against_nothing(gates: Gates, verdicts: Sequence[VerdictRow]) -> list[str]:
    """A line for each target that a gate says nothing about yet."""
    if gates.max_regression is None:
        return []
    return [
        f"gate max_regression: {row.detail}"
        for row in verdicts
        if (row.is_new or row.verdict == "method changed") and row.event is None and not row.notice
    ]


def _is_worse(row: VerdictRow) -> bool:
    if (row.size_pct or 0.0) <= 0:
        return False
    return row.verdict == "node" or row.event_kind in ("regressed", "node") or bool(row.notice)


def _amount(row: VerdictRow) -> float:
    """How much worse, as people read it: throughput that fell by 5 % is 0.05."""
    if row.relative_change is not None:
        return abs(row.relative_change)
    return (row.size_pct or 0.0) / 100.0

"""How much a verdict is of concern: what is worse is told first, and what is as it was last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from nightbench.records import VerdictRow

Concern = Literal["bad", "doubtful", "good", "quiet"]

MARKS = {
    "regressed": "✗",
    "node": "✗",
    "not measured": "–",
    "invalid": "?",
    "starved": "?",
    "method changed": "?",
    "inconclusive": "?",
    "improved": "↑",
    "recovered": "✓",
    "ok": "✓",
}
_ORDER: tuple[Concern, ...] = ("bad", "doubtful", "good", "quiet")


def concern(row: VerdictRow) -> Concern:
    """`bad`: worse than it was. `doubtful`: it could not be told. `quiet`: nothing to say."""
    slower_node = row.verdict == "node" and (row.size_pct or 0.0) > 0
    if row.verdict == "regressed" or row.event_kind == "regressed" or slower_node:
        return "bad"
    if row.verdict == "ok" or (row.verdict == "inconclusive" and row.is_new):
        return "quiet"
    return "good" if row.verdict in ("improved", "recovered", "node") else "doubtful"


def in_order_of_concern(rows: Sequence[VerdictRow]) -> list[VerdictRow]:
    """The worst first, else as they were."""
    return sorted(rows, key=lambda row: _ORDER.index(concern(row)))

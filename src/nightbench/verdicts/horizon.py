"""How far back a night is judged from: as many nights as its baseline can need.

Older nights change nothing but by what was decided about them, and of that only one thing lasts: an
event that is still open. So a replay begins early enough to find that event again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from nightbench.verdicts.measured import RanTarget

NIGHTS = 120  # of each target: a baseline of 60, windows of 21, and those that are left out
BEFORE_AN_EVENT = 80


def within_horizon(
    ran: Sequence[RanTarget], run_id: str, open_since: Mapping[str, date]
) -> list[RanTarget]:
    """The rows from the first run that this one is judged by. `open_since`: the first night of what
    was open of a target before it."""
    tonight = {row.target for row in ran if row.run_id == run_id}
    first: tuple[datetime, str] | None = None
    for target in tonight:
        rows = sorted((row.began, row.run_id, row.night) for row in ran if row.target == target)
        begin = max(0, len(rows) - NIGHTS)
        if target in open_since:
            calm = sum(night < open_since[target] for _, _, night in rows)
            begin = min(begin, max(0, calm - BEFORE_AN_EVENT))
        if rows:
            began, name, _ = rows[begin]
            first = min(first, (began, name)) if first else (began, name)
    return [row for row in ran if first is None or (row.began, row.run_id) >= first]

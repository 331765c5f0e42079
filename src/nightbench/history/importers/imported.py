"""What a result of another tool becomes, and what marks it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nightbench.history.tables import Row
from nightbench.records import kinds_of
from nightbench.terminal_text import safe_line

KEY_PREFIX = "imported:"
MOST = 10**15  # tokens of a whole benchmark, milliseconds of anything: more is no number of one
_MAY_BE_ENDLESS = frozenset({"request_rate"})
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Imported:
    """What one file of another tool says."""

    source: Path
    model: str
    measured_at: datetime
    rows: tuple[Row, ...]


def imported_key(tool: str, document: Document, names: tuple[str, ...]) -> str:
    """A measurement key that no measurement of ours has."""
    asked = json.dumps({name: document.get(name) for name in names}, sort_keys=True, default=str)
    return f"{KEY_PREFIX}{tool}:{hashlib.sha256(asked.encode()).hexdigest()[:12]}"


def plausible(row: Row) -> Row:
    """A row whose counts are counts and whose numbers are numbers, as far as they may be missing:
    what is neither is None. Another tool's file is text that anybody may have written.

    Raises:
        ValueError: a number that a row cannot be without is none; says which.
    """
    changes: dict[str, Any] = {}
    for name, (kind, may_be_none) in kinds_of(type(row)).items():
        value = getattr(row, name)
        if value is None or _is_plausible(kind, value) or name in _MAY_BE_ENDLESS:
            continue
        if not may_be_none:
            raise ValueError(f"{name} is {safe_line(repr(value)[:200], max_chars=60)}")
        changes[name] = None
    return replace(row, **changes)


def _is_plausible(kind: object, value: Any) -> bool:
    if kind is int:
        return bool(0 <= value <= MOST)
    return kind is not float or bool(math.isfinite(value) and abs(value) <= MOST)


def modified(file: Path) -> datetime:
    """When a file was written: reports without a date of their own."""
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)

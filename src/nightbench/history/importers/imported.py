"""What a result of another tool becomes, and what marks it."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nightbench.history.tables import Row
from nightbench.records import AccuracyResult, LoadLevel, kinds_of
from nightbench.terminal_text import safe_line, storable_text

KEY_PREFIX = "imported:"
IMPOSSIBLE = "impossible_values"  # of a level or result that says what cannot be
MOST = 10**15  # tokens of a whole benchmark, milliseconds of anything: more is no number of one
_MOMENT = re.compile(r"[0-9]{8}_[0-9]{6}")
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
    what is neither is None, and the row is not valid. Another tool's file is text that anybody may
    have written.

    Raises:
        ValueError: a number that a row cannot be without is none; says which.
    """
    if isinstance(row, LoadLevel | AccuracyResult):
        return _plausible_numbers(row)
    return row


def _plausible_numbers(row: LoadLevel | AccuracyResult) -> LoadLevel | AccuracyResult:
    changes: dict[str, Any] = {}
    for name, (kind, may_be_none) in kinds_of(type(row)).items():
        value = getattr(row, name)
        if value is None or _is_plausible(kind, value) or name in _MAY_BE_ENDLESS:
            continue
        if not may_be_none:
            raise ValueError(f"{name} is {safe_line(repr(value)[:200], max_chars=60)}")
        changes[name] = None
    if changes and IMPOSSIBLE not in row.invalid_reasons:
        changes |= {"valid": False, "invalid_reasons": [*row.invalid_reasons, IMPOSSIBLE]}
    return replace(row, **changes)


def _is_plausible(kind: object, value: Any) -> bool:
    return kind not in (int, float) or bool(math.isfinite(value) and 0 <= value <= MOST)


def named_model(value: object) -> str:
    """A result's model.

    Raises:
        ValueError: it names none: what it measured belongs to no series.
    """
    if not (isinstance(value, str) and value.strip()):
        raise ValueError(f"the model is {safe_line(repr(value)[:200], max_chars=60)}")
    return storable_text(value)


def dated(file: Path, *folders: object) -> datetime:
    """When evalscope ran: the time in the name of the run's folder (`20260101_120000`, on the clock
    of the machine that ran it, taken as ours), else when the file was written. `folders`: where the
    tool says that it wrote, for a file that was moved since."""
    beside = [part.name for part in file.absolute().parents]
    written = [name for folder in folders if isinstance(folder, str) for name in _names(folder)]
    for name in (*beside, *written):
        if _MOMENT.fullmatch(name):
            try:
                return datetime.strptime(name, "%Y%m%d_%H%M%S").astimezone(UTC)
            except (ValueError, OverflowError):
                continue
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)


def _names(folder: str) -> list[str]:
    return folder.replace("\\", "/").split("/")[::-1]

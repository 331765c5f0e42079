"""What a result of another tool becomes, and what marks it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nightbench.history.tables import Row

KEY_PREFIX = "imported:"
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


def modified(file: Path) -> datetime:
    """When a file was written: reports without a date of their own."""
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)

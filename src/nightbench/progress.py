"""How long work says how far it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Phase = Literal[
    "environment", "model", "lease", "boot", "resume", "samples", "requests", "teardown", "land"
]


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of a phase. `done` of `total` where there is something to count."""

    phase: Phase
    subject: str
    detail: str = ""
    done: int | None = None
    total: int | None = None


OnProgress = Callable[[Progress], None]


def ignore(_: Progress) -> None:
    """The listener that is not there."""

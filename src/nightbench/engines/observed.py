"""What an engine says of itself: in its log while it boots, in its counters while it serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BootPhase = Literal["weights", "compile"]


@dataclass(frozen=True, slots=True)
class BootSign:
    """A line of the log that says how far a boot is; `seconds` where the line carries them.

    `step` grows along a boot, so that a later line about an earlier step can be told.
    """

    step: int
    phase: BootPhase
    label: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """An engine's own view of itself.

    `signature` changes with every step of the engine, and by nothing that its API process could
    count alone (an aborted request is counted there while the engine hangs).
    """

    requests_running: float = 0
    requests_waiting: float = 0
    kv_cache_usage_ratio: float | None = None
    prefix_cache_queries: float | None = None
    prefix_cache_hits: float | None = None
    preemptions: float | None = None
    prompt_tokens: float | None = None
    generation_tokens: float | None = None
    signature: int = 0

    def readings(self) -> dict[str, float]:
        """Name to value of what is stored as telemetry; what this version lacks is left out."""
        named = {
            "requests_running": self.requests_running,
            "requests_waiting": self.requests_waiting,
            "kv_cache_usage_ratio": self.kv_cache_usage_ratio,
            "prefix_cache_queries_tokens": self.prefix_cache_queries,
            "prefix_cache_hits_tokens": self.prefix_cache_hits,
            "preemptions": self.preemptions,
            "prompt_tokens": self.prompt_tokens,
            "generation_tokens": self.generation_tokens,
        }
        return {name: value for name, value in named.items() if value is not None}

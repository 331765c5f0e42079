"""What a rehearsal came to: how much of what was to be asked was answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nightbench.rehearsal.shared_boots import SharedBoot


@dataclass(frozen=True, slots=True)
class RehearsalResult:
    """One server's part: in words, and whether all of it went well."""

    said: str
    is_whole: bool


def outcome_of(boot: SharedBoot, told: Mapping[str, Any] | None) -> RehearsalResult:
    """`told` is the target as `nightbench run --json` writes it, None where it wrote nothing."""
    if told is None:
        return RehearsalResult("no result", is_whole=False)
    row, servers = told["row"], told["servers"]
    boots = [server["boot_s"] for server in servers if server.get("boot_s")]
    whole = [result for result in told["accuracy"] if result["subset"] == "all"]
    answered = sum(result["num_samples"] - result["num_failed"] for result in whole)
    levels = sum(level["completed"] > 0 for level in told["levels"])
    benchmarks, all_levels = len(boot.target["accuracy"]), _levels(boot.target["load"])
    is_gone = bool(servers) and all(server["teardown_clean"] for server in servers)
    parts = [
        f"{row['status']} on {row.get('engine_version') or 'its engine'}",
        *([f"booted in {boots[-1]:.0f} s"] if boots else []),
        f"{answered} of {benchmarks} benchmarks and {levels} of {all_levels} levels completed",
        "stopped" if is_gone else "teardown incomplete",
    ]
    asked = answered == benchmarks and levels == all_levels
    return RehearsalResult(", ".join(parts), row["status"] == "completed" and asked and is_gone)


def _levels(loads: list[dict[str, Any]]) -> int:
    return sum(len(load.get("max_concurrency") or load.get("request_rate") or ()) for load in loads)

"""Whether an engine got the hardware it was leased while it was measured.

What was read before and after is decided on here, apart from reading it (thresholds and reasons:
docs/metrics.md, "Validity"). Whether the load generator itself stood in the way is another question
(`host_contention`): what it took is no foreigner's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nightbench.records import TelemetryRow

SHORTEST_S = 1.0  # of what is judged: the kernel counts in hundredths of a second
FOREIGN_SHARE = 0.15  # of the leased cores' time, worked by others …
WAITING_SHARE = 0.15  # … while the engine stood in the run queue for so much of its own
THROTTLED_SHARE = 0.10  # of a GPU's readings
SLOW_CLOCK = 0.6  # of the most that the card can do, while it is busy
BUSY_PERCENT = 50

# NVML's clocks event reasons that are the machine's doing: hardware slowdown, thermal slowdown by
# software and by hardware, power brake. The card's own power cap is its ordinary state under load.
THROTTLING = 0x8 | 0x20 | 0x40 | 0x80


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreReading:
    """Seconds so far. `busy_s`: of the leased cores, by anybody, a hypervisor's share included."""

    at_s: float
    busy_s: float
    engine_cpu_s: float
    engine_waiting_s: float  # runnable, and on no core


def starved_of_cores(
    before: CoreReading, after: CoreReading, *, cores: int, client_cpu_s: float
) -> str | None:
    """What an engine lacked on its cores, in words; None where it had what it was leased."""
    wall_s = after.at_s - before.at_s
    if wall_s < SHORTEST_S or cores < 1:
        return None
    engine_s = max(0.0, after.engine_cpu_s - before.engine_cpu_s)
    waiting_s = max(0.0, after.engine_waiting_s - before.engine_waiting_s)
    foreign_s = after.busy_s - before.busy_s - engine_s - client_cpu_s
    waited = waiting_s / max(engine_s + waiting_s, 1e-9)
    if foreign_s <= FOREIGN_SHARE * wall_s * cores or waited <= WAITING_SHARE:
        return None
    return (
        f"other processes took {foreign_s / wall_s:.2f} of its {cores} cores: it had "
        f"{engine_s / wall_s:.2f}"
        f" and waited in the run queue for {waited:.0%} of its time"
    )


def starved_of_gpus(
    readings: Iterable[TelemetryRow], max_clocks_mhz: Mapping[str, int]
) -> str | None:
    """The same of its GPUs, by what NVML said once a second; `max_clocks_mhz` by source (gpu0)."""
    by_source: dict[str, dict[str, list[float]]] = {}
    for row in readings:
        if row.source.startswith("gpu"):
            by_source.setdefault(row.source, {}).setdefault(row.name, []).append(row.value)
    for source, named in sorted(by_source.items()):
        said = _starved_of_gpu(named, max_clocks_mhz.get(source))
        if said is not None:
            return f"{source} {said}"
    return None


def _starved_of_gpu(named: Mapping[str, Sequence[float]], max_clock_mhz: int | None) -> str | None:
    foreign = named.get("foreign_processes", ())
    if _share(foreign, [count > 0 for count in foreign]) > THROTTLED_SHARE:
        return f"had {max(foreign):.0f} foreign processes on it"
    reasons = named.get("throttle_reasons", ())
    if _share(reasons, [int(mask) & THROTTLING for mask in reasons]) > THROTTLED_SHARE:
        seen = 0
        for mask in reasons:
            seen |= int(mask) & THROTTLING
        return f"was throttled (NVML's reasons {seen:#x})"
    clocks, busy = named.get("sm_clock_mhz", ()), named.get("utilization_percent", ())
    if max_clock_mhz and len(clocks) == len(busy):
        worked = [mhz for mhz, percent in zip(clocks, busy, strict=True) if percent > BUSY_PERCENT]
        slow = [mhz < SLOW_CLOCK * max_clock_mhz for mhz in worked]
        if _share(worked, slow) > THROTTLED_SHARE:
            return f"ran at {min(worked):.0f} MHz of its maximum of {max_clock_mhz}"
    return None


def _share(of: Sequence[float], true: Sequence[object]) -> float:
    return sum(map(bool, true)) / len(of) if of else 0.0

"""What the hardware did while a server was up: one reading a second.

With GPUs: their own counters, through NVML. Without: the cores and the memory that the engine's
processes use, from /proc.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from nightbench.records import TelemetryRow
from nightbench.serving import processes
from nightbench.serving.hardware.gpus import Gpu, Nvml
from nightbench.untrusted.counts import as_reading

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
COMPUTING_CORES = 0.5
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

Sampler = Callable[[], list[TelemetryRow]]


def rows(source: str, readings: dict[str, float]) -> list[TelemetryRow]:
    """One row per reading, stamped now. What is no number, or none a counter can have, is left
    out."""
    at = datetime.now(UTC)
    return [
        TelemetryRow(read_at=at, source=source, name=name, value=reading)
        for name, value in readings.items()
        if (reading := as_reading(value)) is not None
    ]


class ProcessSampler:
    """Cores in use and resident memory of a process tree, zombies left out."""

    def __init__(self, root: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._root, self._clock = root, clock
        self._ticks: dict[int, int] = {}
        self._cores_used = 0.0
        self._at = clock()

    def __call__(self) -> list[TelemetryRow]:
        """CPU is per interval since the last call: a process counts from its second reading on."""
        now = self._clock()
        usage = {pid: u for pid in processes.descendants(self._root) if (u := processes.usage(pid))}
        spent = sum(ticks - self._ticks.get(pid, ticks) for pid, (ticks, _) in usage.items())
        elapsed_s = max(now - self._at, 1e-9)
        self._ticks = {pid: ticks for pid, (ticks, _) in usage.items()}
        self._at = now
        self._cores_used = spent / _TICKS_PER_S / elapsed_s
        return rows(
            "host",
            {
                "cpu_cores_used": self._cores_used,
                "rss_bytes": sum(pages for _, pages in usage.values()) * _PAGE_BYTES,
            },
        )

    def is_computing(self) -> bool:
        """Whether the tree uses a good part of a core, and nothing in it is stopped: what waits
        for a stopped process may spin, and gets nowhere."""
        states = [stat[2] for pid in self._ticks if (stat := processes.stat_of(pid))]
        return self._cores_used > COMPUTING_CORES and not any(state in "Tt" for state in states)


class GpuSampler:
    """NVML's counters of the leased GPUs; what a card does not support is left out."""

    def __init__(self, gpus: Sequence[Gpu], nvml: Nvml, root: int | None = None) -> None:
        nvml.nvmlInit()
        self._nvml, self._root = nvml, root
        self._handles = [(f"gpu{g.index}", nvml.nvmlDeviceGetHandleByUUID(g.uuid)) for g in gpus]

    def __call__(self) -> list[TelemetryRow]:
        """One reading of every counter of every GPU."""
        return [row for name, handle in self._handles for row in rows(name, self._read(handle))]

    def _read(self, handle: object) -> dict[str, float]:
        nvml = self._nvml
        questions: dict[str, Callable[[], float]] = {
            "utilization_percent": lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu,
            "memory_used_bytes": lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used,
            "power_w": lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
            "temperature_c": lambda: nvml.nvmlDeviceGetTemperature(
                handle, nvml.NVML_TEMPERATURE_GPU
            ),
            "sm_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
            "memory_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM),
            # A bit mask, as NVML defines it; 0 is full speed, 1 is idle.
            "throttle_reasons": lambda: nvml.nvmlDeviceGetCurrentClocksEventReasons(handle),
        }
        readings = {}
        for name, question in questions.items():
            try:
                readings[name] = question()
            except nvml.NVMLError:
                continue
        foreign = self._foreign(handle)
        return readings if foreign is None else readings | {"foreign_processes": foreign}

    def _foreign(self, handle: object) -> int | None:
        """How many processes on it are not of the engine; None where its own are not seen either,
        as where NVML counts in another namespace of processes."""
        nvml = self._nvml
        if self._root is None:
            return None
        try:
            on_it = {process.pid for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)}
        except nvml.NVMLError:
            return None
        own = {self._root, *processes.descendants(self._root)} if on_it else set()
        return len(on_it - own) if on_it & own else None

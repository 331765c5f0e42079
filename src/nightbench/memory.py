"""How much memory there is to use: what a machine has left, or the container this runs in."""

from __future__ import annotations

from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")  # of a container, or the root
_UNKNOWN_BYTES = 4_000_000_000  # where neither is told


def available_bytes(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int:
    """Bytes that can be used without swapping."""
    left = [_of_machine(meminfo), _of_container(cgroup)]
    return min((size for size in left if size is not None), default=_UNKNOWN_BYTES)


def _of_machine(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text().splitlines()
        said = next(line for line in lines if line.startswith("MemAvailable:"))
        return int(said.split()[1]) * 1024
    except (OSError, StopIteration, ValueError, IndexError):
        return None


def _of_container(cgroup: Path) -> int | None:
    """What cgroup v2 leaves; None where it sets no limit."""
    try:
        most, used = (int((cgroup / name).read_text()) for name in ("memory.max", "memory.current"))
        return max(0, most - used)
    except (OSError, ValueError):
        return None

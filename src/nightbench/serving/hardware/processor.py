"""What compiled code may depend on: the processor's name and features."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

# x86's features, ARM's, and what ARM calls a model.
_TELLING = ("model name", "flags", "Features", "CPU implementer", "CPU part")


def digest(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Names this kind of processor: the same on every machine that has it."""
    try:
        text = cpuinfo.read_text()
    except OSError:
        text = ""
    return digest_of(text, platform.machine())


def digest_of(cpuinfo: str, machine: str) -> str:
    """The digest of a /proc/cpuinfo: whatever varies from core to core, or with the load, is left
    out, and the order of features, too."""
    told: dict[str, set[str]] = {}
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in _TELLING:
            told.setdefault(name.strip(), set()).update(value.split())
    content = [machine, *(f"{name}={' '.join(sorted(told[name]))}" for name in sorted(told))]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()[:16]

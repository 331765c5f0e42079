"""What time it is, and how long the machine has been up: the one may be set, the other not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

Now = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Uptime:
    """Seconds since a boot, time asleep included. Nobody can set them."""

    boot_id: str
    seconds: float


AskUptime = Callable[[], Uptime | None]


def utc_now() -> datetime:
    """The clock, unless another is passed in."""
    return datetime.now(UTC)


def system_uptime() -> Uptime | None:
    """That of this machine; None where it does not say which boot it is in."""
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return Uptime(boot_id, time.clock_gettime(time.CLOCK_BOOTTIME))


def no_uptime() -> Uptime | None:
    """Of a clock that was passed in, nothing more is known."""
    return None

"""A process that is kept running: started again when it ends by itself, given up when it cannot."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from nightbench.errors import NightbenchError
from nightbench.home.private_files import open_private

STOP_S = 40.0  # Prefect gives a cancelled flow run 30 s
SOON_S = 30.0  # one that ends sooner after its start did not work
MOST_FAILED_STARTS = 3


@dataclass(slots=True)
class RestartedProcess:
    """One process in a session of its own, so that the terminal's Ctrl-C reaches us first.

    Use as a context manager; leaving it ends the process.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    log_path: Path
    clock: Callable[[], float] = time.monotonic
    _process: subprocess.Popen[bytes] | None = None
    _started_at: float = 0.0
    _failed_starts: int = 0

    def __enter__(self) -> RestartedProcess:
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        return self._process.pid if self._process else None

    def is_running(self) -> bool:
        """Whether it runs at this moment."""
        return self._process is not None and self._process.poll() is None

    def keep(self) -> str:
        """Start it again where it has ended, and say so; "" while it runs.

        Raises:
            NightbenchError: it ended soon after its start, three times in a row.
        """
        if self._process is None or (code := self._process.poll()) is None:
            return ""
        soon = self.clock() - self._started_at < SOON_S
        self._failed_starts = self._failed_starts + 1 if soon else 0
        said = f"the Prefect {self.name} ended by itself ({_how(code)})"
        if self._failed_starts >= MOST_FAILED_STARTS:
            raise NightbenchError(
                f"{said}, {MOST_FAILED_STARTS} times soon after its start",
                hint=f"Its log is {self.log_path}.",
            )
        self._start()
        return f"{said}; started again"

    def _start(self) -> None:
        with open_private(self.log_path, os.O_APPEND) as log:
            self._process = subprocess.Popen(
                (*_with_us(), *self.argv),
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started_at = self.clock()


def _with_us() -> tuple[str, ...]:
    """Have the kernel end it when we are killed: else it would live on with nobody to keep it, and
    the next `nightbench up` would take it for one that is kept. (Flow runs are in sessions of their
    own and go on.)"""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"

"""The commands of a night itself: a node is drained before it, and given back after it.

Each runs in a session of its own under coreutils' `timeout`, so that its limit holds whatever
becomes of us: a node is given back even where the night is killed the moment after.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from nightbench.errors import NightbenchError
from nightbench.suite.models import NightCommand
from nightbench.terminal_text import safe_text

KILL_AFTER_S = 10.0
TAIL_LINES = 10
_TIMED_OUT = (124, 137)


class NightCommandFailed(NightbenchError):
    """A command of `before` or `after` did not do what it is there for."""


@dataclass(frozen=True, slots=True)
class NightContext:
    """What the commands of a night are told, and where they run."""

    run_id: str
    night: str
    suite: str
    base_dir: Path
    status: str | None = None

    def environ(self) -> dict[str, str]:
        """The variables that say so."""
        told = {
            "NIGHTBENCH_RUN_ID": self.run_id,
            "NIGHTBENCH_NIGHT": self.night,
            "NIGHTBENCH_SUITE": self.suite,
        }
        return told if self.status is None else told | {"NIGHTBENCH_STATUS": self.status}


def run_command(
    command: NightCommand,
    context: NightContext,
    environ: Mapping[str, str],
    *,
    wait_s: float | None = None,
) -> None:
    """Run a command to its end, or for `wait_s` at most: it goes on then, within its own limit.

    Raises:
        NightCommandFailed: it could not be started, failed, or was ended by its time limit; with
            the tail of what it wrote.
    """
    env = {**environ, **{k: str(v) for k, v in command.env.items()}, **context.environ()}
    limit = ["timeout", f"--kill-after={KILL_AFTER_S:g}", f"{command.timeout:g}"]
    # A file and not a pipe: what the command leaves behind may hold its output open for ever.
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*limit, *command.argv],
            cwd=context.base_dir,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(wait_s)
        except subprocess.TimeoutExpired:  # somebody has to wait for it, should we live so long
            threading.Thread(target=process.wait, daemon=True).start()
            return
        if code:
            raise NightCommandFailed(_why(command, code), hint=_tail(output))


def _why(command: NightCommand, code: int) -> str:
    shown = safe_text(" ".join(command.argv), max_chars=200)
    if code in _TIMED_OUT:
        return f"`{shown}` was stopped after its timeout of {command.timeout:g} s"
    if code in (126, 127):
        return f"`{shown}` could not be started"
    return f"`{shown}` failed with exit code {code}"


def _tail(output: IO[bytes]) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - 8192))
    lines = output.read().decode("utf-8", "replace").strip().splitlines()
    return safe_text("\n  ".join(lines[-TAIL_LINES:]))

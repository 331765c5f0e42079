"""SwanLab prints, reaches for the network and may hang: it works in a child with a deadline."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from nightbench.dashboards.swanlab_places import log_path
from nightbench.errors import DashboardError
from nightbench.home.paths import Home
from nightbench.home.private_files import PRIVATE_UMASK, make_private
from nightbench.secrets.child_env import FOR_SWANLAB, environment_for
from nightbench.secrets.redaction import Redactor

_GRACE_S = 5.0
_TAIL_BYTES, _LOG_BYTES = 8192, 10_000_000


def run_child(home: Home, argv: Sequence[str], order: str, timeout_s: float) -> None:
    """Give a child process its order and wait; nothing of it stays.

    Raises:
        DashboardError: it could not be started, failed (with what it said last) or took too long.
    """
    try:
        _run(home, argv, order, timeout_s)
    except OSError as error:
        raise DashboardError(f"SwanLab could not be started: {error}") from error


def _run(home: Home, argv: Sequence[str], order: str, timeout_s: float) -> None:
    make_private(home.dashboards)
    own = {"SWANLAB_SAVE_DIR": str(home.dashboards / "swanlab-home")}
    path = log_path(home)
    with tempfile.TemporaryFile() as said:  # without a name: it may hold what the log must not
        child = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=said,
            env=environment_for(FOR_SWANLAB) | own,
            cwd=home.dashboards,
            start_new_session=True,
            umask=PRIVATE_UMASK,
        )
        try:
            child.communicate(order.encode(), timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise DashboardError(
                f"SwanLab did not finish within {timeout_s:g} s", hint=_hint(home)
            ) from None
        finally:
            _end(child)
            said.seek(0)
            _append(path, said.read(_LOG_BYTES))
    if child.returncode != 0:
        raise DashboardError(f"SwanLab failed: {_last_line(path)}", hint=_hint(home))


def _append(path: Path, said: bytes) -> None:
    """Into the log, without the key that SwanLab's cloud may have repeated."""
    full = path.exists() and path.stat().st_size > _LOG_BYTES
    with path.open("w" if full else "a", encoding="utf-8") as log:
        log.write(Redactor.from_env()(said.decode(errors="replace")))


def _hint(home: Home) -> str:
    return (
        "The numbers are in the history; the next maintenance run mirrors what is missing."
        f" SwanLab's output: {log_path(home)}"
    )


def _end(child: subprocess.Popen[bytes]) -> None:
    """Nothing of the child stays, whatever ended the wait."""
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait(_GRACE_S)


def _last_line(path: Path) -> str:
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:400] if lines else "no output"

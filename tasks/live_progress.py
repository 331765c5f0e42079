"""How far a task run is, as a progress artifact, written by a thread of its own.

What is measured must not wait for Prefect: its server may be slow, or away for a restart, and its
client then tries again for minutes. So the newest state is left where the thread finds it, and
what the thread could not write is not missed.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from prefect import get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate

INTERVAL_S = 2.0
LAST_WORD_S = 0.1  # after that the thread goes on by itself, beside what comes next


@dataclass(frozen=True, slots=True)
class Shown:
    """What an artifact is to show now: `key` names it, `about` and `text` are markdown."""

    key: str
    percent: float
    text: str
    about: str = ""


class Writer(Protocol):
    """Creates an artifact or brings it up to date."""

    def __call__(self, shown: Shown) -> None: ...


class LiveProgress:
    """Shows the newest of what it is told, at most every `interval_s`."""

    def __init__(self, write: Writer, *, interval_s: float = INTERVAL_S) -> None:
        self._write = write
        self._interval_s = interval_s
        self._newest: dict[str, Shown] = {}
        self._lock = threading.Lock()
        self._told = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def show(self, shown: Shown) -> None:
        """Leave it for the thread; microseconds, whatever Prefect does."""
        with self._lock:
            self._newest[shown.key] = shown
        self._told.set()
        if self._thread is None:
            thread = threading.Thread(target=self._run, daemon=True, name="progress")
            thread.start()  # Ctrl-C may come right here: `close` must not join what never began
            self._thread = thread

    def close(self, timeout_s: float = LAST_WORD_S) -> None:
        """Give the last state a moment to be written."""
        self._closing.set()
        self._told.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            self._told.wait()
            self._told.clear()
            for shown in self._take():
                if not self._written(shown):
                    return
            if self._closing.wait(self._interval_s):
                for shown in self._take():
                    self._written(shown)
                return

    def _take(self) -> list[Shown]:
        with self._lock:
            newest, self._newest = list(self._newest.values()), {}
        return newest

    def _written(self, shown: Shown) -> bool:
        try:
            self._write(shown)
        except Exception:  # noqa: BLE001 - whatever Prefect's client raises, it is only a picture
            return False
        return True


def artifact_writer(flow_run_id: UUID | None, task_run_id: UUID | None) -> Writer:
    """Writes to Prefect's API, as artifacts of these runs."""
    made: dict[str, UUID] = {}

    def write(shown: Shown) -> None:
        with get_client(sync_client=True) as client:
            if shown.key in made:
                update = ArtifactUpdate(data=shown.percent, description=shown.text)
                client.update_artifact(artifact_id=made[shown.key], artifact=update)
                return
            artifact = client.create_artifact(
                ArtifactCreate(
                    key=shown.key,
                    type="progress",
                    description=shown.text,
                    data=shown.percent,
                    flow_run_id=flow_run_id,
                    task_run_id=task_run_id,
                )
            )
            made[shown.key] = artifact.id

    return write

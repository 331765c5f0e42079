"""A daemon for the docker that `stand_in_engine.py` stands in for: its containers are children of
the test, and outlive their client as real ones do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

POLL_S = 0.02


class Daemon:
    """Runs containers by the files their clients write. Use as a context manager."""

    def __init__(self, root: Path, bin_folder: Path) -> None:
        self.root = root
        self.bin = bin_folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.started: list[dict[str, object]] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="docker-daemon")
        for part in ("images", "containers"):
            (root / part).mkdir(parents=True)

    def __enter__(self) -> Daemon:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(10)
        for process in self.running.values():
            process.kill()
            process.wait()

    def _run(self) -> None:
        while not self._stopped.wait(POLL_S):
            for folder in list((self.root / "containers").iterdir()):
                self._look(folder)

    def _look(self, folder: Path) -> None:
        process = self.running.get(folder.name)
        if process is None and (folder / "order").exists():
            self._start(folder)
        elif process is not None and process.poll() is not None:
            (folder / "exit.new").write_text(str(process.returncode))
            (folder / "exit.new").rename(folder / "exit")
        elif process is not None and (folder / "terminate").exists():
            process.terminate()
        if (folder / "remove").exists():
            if process is not None:
                process.kill()
                process.wait()
                del self.running[folder.name]
            shutil.rmtree(folder)

    def _start(self, folder: Path) -> None:
        order = json.loads((folder / "order").read_text())
        self.started.append(order)
        own = {"PATH": os.environ["PATH"]}
        entrypoint, *arguments = order["argv"]
        self.running[folder.name] = subprocess.Popen(
            [str(self.bin / entrypoint), *arguments], env=own | order["env"]
        )

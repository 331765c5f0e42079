"""A place for one fault: a tiny model on real vLLM, and the proof that nothing of it is left."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from nightbench.home.paths import Home
from nightbench.records import ServerRow
from nightbench.serving import probing, processes
from nightbench.serving.hardware import reaper
from nightbench.serving.hardware.machine import Machine
from nightbench.serving.server import Server, serve
from nightbench.serving.supervise.launcher import Options
from nightbench.serving.supervise.supervisor_client import wait_until
from nightbench.suite.models import Target

WITHIN_S = 15.0  # what a fault is given to be over: no process, no port, no lease
SMALL_SERVER = Path(__file__).parents[1] / "unit" / "serving" / "small_server.py"


class Scene:
    """A place of its own for one fault: run folder and rows. The leases are those of all."""

    def __init__(
        self, folder: Path, home: Home, machine: Machine, leases: Path, model: Path
    ) -> None:
        self.folder = folder
        self.home = home
        self.model = model
        self.leases = leases
        self.machine = replace(machine, leases=leases)
        self.rows: list[ServerRow] = []
        self.seen: dict[int, int] = {}
        self.port = 0

    def target(self, *, tensor_parallel_size: int = 1, **fields: object) -> Target:
        """The tiny model on real vLLM; `args` are the engine's, other `fields` the target's."""
        args = {"dtype": "float32", "enforce-eager": True, "max-model-len": 2048}
        extra = fields.pop("args", {})
        assert isinstance(extra, dict)
        return Target.model_validate(
            {
                "name": "tiny",
                "model": str(self.model),
                "served_model_name": "tiny",
                "boot_timeout_s": 600,
                "engine": {
                    "kind": "vllm",
                    "tensor_parallel_size": tensor_parallel_size,
                    "args": args | extra,
                    "env": {"VLLM_CPU_KVCACHE_SPACE": "1"},
                },
            }
            | fields
        )

    @contextmanager
    def serve(self, target: Target, options: Options = Options()) -> Iterator[Server]:  # noqa: B008
        """Serve it here."""
        with serve(
            target,
            self.home,
            base_dir=self.folder,
            run_dir=self.folder / "run",
            machine=self.machine,
            on_progress=print,
            on_row=self.rows.append,
            options=options,
        ) as server:
            self.remember()
            yield server

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Meanwhile remember what is started, for what fails before it serves."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.5):
                self.remember()

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def assert_the_next_one_serves(self) -> None:
        """On the same hardware, without waiting for it."""
        argv = [sys.executable, str(SMALL_SERVER), "{port}"]
        target = Target.model_validate(
            {"name": "next", "boot_timeout_s": 60, "engine": {"kind": "command", "argv": argv}}
        )
        with serve(
            target,
            self.home,
            base_dir=self.folder,
            run_dir=self.folder / "next",
            machine=self.machine,
            options=Options(wait_for_lease=False),
        ) as server:
            assert server.trouble() is None

    def remember(self) -> dict[int, int]:
        """Every process and the port that the lease names now, kept for the proof."""
        for state in reaper.states(self.leases):
            record = state.record
            if record is not None:
                self.port = record.port or self.port
                living = (one for one in record.processes if processes.is_same(*one))
                self.seen |= dict(living)
        return self.seen

    def called(self, name: str) -> list[int]:
        """The pids of the tree whose command line or title has `name` in it."""
        found = []
        for pid in self.remember():
            try:
                title = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if name in title:
                found.append(pid)
        return sorted(found)

    def assert_all_gone(self) -> None:
        """No process, no port, no lease, no leftover, within the promised time."""
        assert self.seen, "nothing was ever seen of it"
        assert self.port

        def remains() -> list[str]:
            living = [pid for pid, start in self.seen.items() if processes.is_same(pid, start)]
            states = reaper.states(self.leases)
            held = [state.resource for state in states if state.held or state.living]
            open_port = [self.port] if probing.is_listening(probing.HOST, self.port) else []
            left = {"pids": living, "leases": held, "port": open_port}
            return [f"{what}: {found}" for what, found in left.items() if found]

        wait_until(lambda: not remains(), WITHIN_S)
        assert remains() == []

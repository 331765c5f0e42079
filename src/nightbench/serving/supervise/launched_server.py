"""One launch of a server: its boot, its watch, and its proven end."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from nightbench.endpoint import Endpoint
from nightbench.errors import (
    BootFailed,
    BootTimeout,
    LeaseError,
    ServerDied,
    ServerError,
    ServerHung,
    TeardownFailed,
)
from nightbench.progress import OnProgress, Progress
from nightbench.records import ServerRow, TelemetryRow
from nightbench.serving import booting, probing
from nightbench.serving.booting import Boot, BootPhases, PortTaken
from nightbench.serving.hardware import core_readings, reaper, telemetry
from nightbench.serving.hardware.lease_records import MAX_TEXT, Record
from nightbench.serving.hardware.starvation import CoreReading
from nightbench.serving.hardware.telemetry import ProcessSampler
from nightbench.serving.images import remove_container
from nightbench.serving.processes import boot_id, end, is_same, stat_of
from nightbench.serving.supervise.heartbeat import HangLimits
from nightbench.serving.supervise.launcher import LaunchRequest, Started, gpu_memory, start
from nightbench.serving.supervise.supervised_files import MAX_PROCESSES
from nightbench.serving.supervise.supervisor_client import wait_until
from nightbench.serving.supervise.watchdog import (
    Trouble,
    Watchdog,
    WatchedServer,
    never,
    read_counters,
)

KILL_PATIENCE_S = 5.0
PORT_PATIENCE_S = 2.0
MEMORY_PATIENCE_S = 3.0
MEMORY_SLACK_BYTES = 512 << 20

_REASON_OF_TROUBLE = {"server_died": "died", "server_hung": "hung", "watch_failed": "unwatched"}


@dataclass(frozen=True, slots=True)
class Teardown:
    """How it went: clean means no process alive, port closed, GPU memory back."""

    seconds: float
    clean: bool
    detail: str


@contextmanager
def launched(
    job: LaunchRequest, on_progress: OnProgress, on_row: Callable[[ServerRow], None]
) -> Iterator[LaunchedServer]:
    """Lease, start, wait until it answers, watch; afterwards prove that it is gone."""
    launch = LaunchedServer(start(job, on_progress))
    try:
        launch.boot(on_progress)
        with launch.watching():
            yield launch
        launch.over(None)
    except BaseException as error:
        launch.over(error)
        launch.end(on_progress)
        on_row(launch.row())
        if not launch.is_clean():
            error.add_note("its teardown was incomplete: see `nightbench doctor`")
        raise
    launch.end(on_progress)
    on_row(launch.row())
    launch.refuse_leftovers()


class LaunchedServer:
    """A server that was started."""

    def __init__(self, started: Started) -> None:
        self.started = started
        self.endpoint: Endpoint = started.endpoint
        self._phases = BootPhases()
        environment = started.job.environment
        self.engine_version = environment.version if environment else None
        self._watched: WatchedServer | None = None
        self._watch: Watchdog | None = None
        self._exit_reason: str | None = None
        self._stopped_at: datetime | None = None
        self._teardown: Teardown | None = None
        self._port_is_anothers = False

    def boot(self, on_progress: OnProgress) -> None:
        """Wait until it really answers. Raises BootFailed, BootTimeout, PortTaken."""
        started = self.started
        self.endpoint, self._phases = booting.wait_ready(
            Boot(
                target=started.job.target,
                supervised=started.supervised,
                endpoint=started.endpoint,
                port=started.port,
                ready_path=started.launch.ready_path,
                on_progress=on_progress,
                in_container=started.launch.container is not None,
            )
        )
        self.engine_version = self.engine_version or self._ask_version()
        sampler = started.job.machine.sampler(started.lease.gpus, started.supervised.pid)
        self._watched = WatchedServer(
            target=started.job.target,
            endpoint=self.endpoint,
            ready_path=started.launch.ready_path,
            counters_path=started.launch.counters_path,
            running=started.supervised.running,
            samplers=[sampler],
            computing=sampler.is_computing if isinstance(sampler, ProcessSampler) else never,
            patience=HangLimits.of(started.job.target.hang_timeout_s),
            clock=started.job.options.clock,
        )

    def _ask_version(self) -> str | None:
        path = self.started.launch.version_path
        if path is None:
            return None
        return probing.read_version(self.endpoint, path)

    def container_id(self) -> str | None:
        """The container it runs in, as docker numbers it; None where it runs in none."""
        container = self.started.launch.container
        if container is None or not container.id_path.exists():
            return None
        return container.id_path.read_text().strip() or None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch it, in a thread, until the block is left."""
        if self._watched is None:
            raise RuntimeError("watching comes after boot")
        with Watchdog(self._watched) as self._watch:
            yield

    def trouble(self) -> Trouble | None:
        """Why it is no longer to be measured."""
        return self._watch.trouble if self._watch else None

    def look(self) -> Trouble | None:
        """Look now whether it is in trouble."""
        return self._watch.look() if self._watch else None

    def check(self) -> None:
        """Look, and raise if it is in trouble."""
        trouble = self.look()
        if trouble is None:
            return
        supervised = self.started.supervised
        log_tail = supervised.log_tail()
        hint = f"The whole log is in {supervised.order.log_path}"
        name = self.started.job.target.name
        if trouble == "server_died":
            code = supervised.report().exit_code
            exited = f" (exit code {code})" if code is not None else ""
            raise ServerDied(f"{name} died{exited}", hint=hint, log_tail=log_tail)
        if trouble == "watch_failed":
            why = self._watch.failure if self._watch else ""
            raise ServerError(f"{name} is no longer monitored: {why}", hint=hint, log_tail=log_tail)
        raise ServerHung(f"{name} is alive but makes no progress", hint=hint, log_tail=log_tail)

    def drain(self) -> list[TelemetryRow]:
        """Readings since the last call."""
        return self._watch.drain() if self._watch else []

    def read_cores(self) -> CoreReading | None:
        """What its processes and its cores have done so far; None where nobody can see it."""
        if self.started.launch.container is not None or not self.cores:
            return None
        return core_readings.read_cores(self.started.supervised.pid, self.cores)

    @property
    def cores(self) -> tuple[int, ...]:
        """The cores it has leased."""
        return tuple(self.started.lease.cores)

    @property
    def max_clocks_mhz(self) -> dict[str, int]:
        """The most its GPUs can do, by their source in the telemetry."""
        gpus = self.started.lease.gpus
        return {f"gpu{g.index}": g.max_sm_clock_mhz for g in gpus if g.max_sm_clock_mhz}

    def read_counters(self) -> dict[str, float]:
        """The engine's own counters now, kept among the readings too."""
        if self._watched is None or self._watched.counters_path is None:
            return {}
        counters = read_counters(self._watched)
        readings = counters.readings() if counters else {}
        if self._watch:
            self._watch.add(telemetry.rows("server", readings))
        return readings

    def over(self, error: BaseException | None) -> None:
        """Remember why it is to end: what was wrong with it, or how the measurement ended."""
        self._port_is_anothers = isinstance(error, PortTaken)
        if isinstance(error, BootTimeout):
            self._exit_reason = "boot_timeout"
        elif isinstance(error, BootFailed | PortTaken):
            self._exit_reason = "boot_failed"
        elif trouble := self.trouble():
            self._exit_reason = _REASON_OF_TROUBLE[trouble]
        else:
            cancelled = error is not None and not isinstance(error, Exception)
            self._exit_reason = "cancelled" if cancelled else "stopped"

    def end(self, on_progress: OnProgress) -> None:
        """Stop it and look whether it is gone. Asking comes first: it holds even if we are
        interrupted in the middle of what follows."""
        began = time.monotonic()
        job, supervised = self.started.job, self.started.supervised
        known, problems = self._ask_to_stop()
        on_progress(Progress("teardown", job.target.name, "stopping the server"))
        supervised.wait(job.options.grace_s + KILL_PATIENCE_S)
        problems += self._leftovers(known)
        if problems:
            self._mark_dirty(known, "; ".join(problems))
        self._stopped_at = datetime.now(UTC)
        self._teardown = Teardown(time.monotonic() - began, not problems, "; ".join(problems))
        detail = self._teardown.detail or "stopped: no process, port closed"
        on_progress(Progress("teardown", job.target.name, detail))

    def _ask_to_stop(self) -> tuple[dict[int, int], list[str]]:
        """Its processes, as far as they can be told, and what kept us from telling. Whatever goes
        wrong with that, it is asked to stop."""
        try:
            return self._known_processes(), []
        except Exception as error:  # noqa: BLE001 - a full table of open files, a /proc that is gone
            return {}, [f"its processes could not be listed: {error}"]
        finally:
            self.started.supervised.request_stop(kill=self._exit_reason == "hung")

    def _leftovers(self, known: dict[int, int]) -> list[str]:
        """What is still there of it, after it was given time and then killed; [] is the proof."""

        def survivors() -> list[int]:
            return [pid for pid, started_at in known.items() if is_same(pid, started_at)]

        def port_is_closed() -> bool:
            return not probing.is_listening(probing.HOST, self.started.port)

        problems = []
        container = self.started.launch.container
        if container and not remove_container(container.docker, container.name):
            problems.append(f"the container {container.name} could not be removed")
        for pid in survivors():
            end(pid, known[pid], os.geteuid())
        if not wait_until(lambda: not survivors(), KILL_PATIENCE_S):
            problems.append(f"still alive: {', '.join(map(str, survivors()))}")
        if not self._port_is_anothers and not wait_until(port_is_closed, PORT_PATIENCE_S):
            problems.append(f"port {self.started.port} is still open")
        if not wait_until(self._memory_is_back, MEMORY_PATIENCE_S):
            problems.append("GPU memory is not back to its previous level")
        return problems

    def _mark_dirty(self, known: dict[int, int], detail: str) -> None:
        """So that what we could not end is known to the reaper, and our GPUs are not leased again
        before their memory is back."""
        started = self.started
        limits = {
            f"gpu-{uuid}": used + MEMORY_SLACK_BYTES for uuid, used in started.memory_before.items()
        }
        alive = [(pid, at) for pid, at in known.items() if is_same(pid, at)]
        for claim in started.lease.claims:
            record = Record(
                launch_id=started.launch_id,
                subject=started.job.target.name,
                port=started.port,
                boot_id=boot_id(),
                processes=tuple(alive[:MAX_PROCESSES]),
                container=started.launch.container is not None,
                dirty=detail[:MAX_TEXT],
                memory_limit_bytes=limits.get(claim.resource),
            )
            with suppress(LeaseError, OSError):  # the teardown is told to be unclean anyway
                reaper.mark_dirty(claim.path.parent, claim.resource, record)

    def _memory_is_back(self) -> bool:
        before = self.started.memory_before
        try:
            now = gpu_memory(self.started.job.machine, self.started.lease)
        except LeaseError:
            return False  # what cannot be read is not proven
        return all(used <= before[uuid] + MEMORY_SLACK_BYTES for uuid, used in now.items())

    def _known_processes(self) -> dict[int, int]:
        """Every process of the launch with its start time: the living tree, and what the
        supervisor wrote down (all that is known of it once the guard is dead)."""
        pids = self.started.supervised.tree()
        known = {pid: stat[1] for pid in pids if (stat := stat_of(pid))}
        with suppress(LeaseError):  # what cannot be read must not keep us from stopping it
            for state in reaper.states(self.started.job.machine.leases):
                record = state.record if state.file.is_mine else None
                # Somebody else may have leased the hardware of a server that died.
                if record is not None and record.launch_id == self.started.launch_id:
                    known |= dict(record.processes)
        return known

    def is_clean(self) -> bool:
        """Whether its end is proven."""
        return self._teardown is not None and self._teardown.clean

    def refuse_leftovers(self) -> None:
        """Raise TeardownFailed unless its end is proven."""
        if self._teardown is not None and not self._teardown.clean:
            raise TeardownFailed(
                f"{self.started.job.target.name} did not stop cleanly: {self._teardown.detail}",
                hint="`nightbench doctor` shows what is left, `nightbench reap` ends it.",
            )

    def row(self) -> ServerRow:
        """The launch as it stands."""
        started, phases, teardown = self.started, self._phases, self._teardown
        supervised = started.supervised
        report = supervised.report()
        return ServerRow(
            launch=started.job.launch,
            engine_kind=started.job.target.engine.kind,
            engine_version=self.engine_version,
            argv=list(started.launch.argv),
            env=json.dumps(started.public_env),
            base_url=self.endpoint.base_url,
            pid=report.engine_pid,
            started_at=started.started_at,
            boot_s=phases.boot_s,
            boot_process_s=phases.process_s,
            boot_weights_s=phases.weights_s,
            boot_compile_s=phases.compile_s,
            boot_first_answer_s=phases.first_answer_s,
            stopped_at=self._stopped_at,
            exit_reason=self._exit_reason,
            exit_code=report.exit_code,
            teardown_s=teardown.seconds if teardown else None,
            teardown_clean=teardown.clean if teardown else None,
            teardown_detail=(teardown.detail or None) if teardown else None,
            log_path=str(supervised.order.log_path),
            log_tail=supervised.log_tail() if self._exit_reason else None,
        )

"""A target's server: leased, booted, watched, and let go with proof.

    with serve(target, home, base_dir=…, run_dir=…) as server:
        measure(server.endpoint, stop_if=server.trouble)

However the block is left (return, exception, Ctrl-C, a cancelled flow), the server's whole process
tree is gone afterwards, and `server.row()` says how that went.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import Protocol

from nightbench.endpoint import Endpoint
from nightbench.engines import target_engine
from nightbench.errors import BootFailed
from nightbench.home.paths import Home
from nightbench.progress import OnProgress, Progress, ignore
from nightbench.records import ProvenanceRow, ServerRow, TelemetryRow
from nightbench.serving import external_api, provenance
from nightbench.serving.booting import PortTaken
from nightbench.serving.hardware import endpoint_leases, lease_folder
from nightbench.serving.hardware.machine import Machine, this_machine
from nightbench.serving.hardware.starvation import (
    CoreReading,
    starved_of_cores,
    starved_of_gpus,
)
from nightbench.serving.patience import REMOTE_S, Patience
from nightbench.serving.provision import environments, keeping, models, preflight
from nightbench.serving.provision.environments import EngineEnvironment
from nightbench.serving.supervise.launched_server import LaunchedServer, launched
from nightbench.serving.supervise.launcher import LaunchRequest, Options
from nightbench.serving.supervise.watchdog import Trouble
from nightbench.suite.models import Target

PORT_ATTEMPTS = 3
DEFAULT_OPTIONS = Options()


class Provisioner(Protocol):
    """What an engine's `provision` names: its environment and its model, fetched in a way of its
    own."""

    def __call__(
        self,
        target: Target,
        home: Home,
        base_dir: Path,
        *,
        has_gpu: bool,
        on_progress: OnProgress,
    ) -> tuple[EngineEnvironment | None, str | None]: ...


class HardwareWatch:
    """What a server had of its hardware while something was measured."""

    def __init__(self, launched: LaunchedServer | None) -> None:
        self._launched = launched
        self._marks: list[CoreReading] = []

    def mark(self) -> None:
        """Take a reading: where measuring begins, and where it ends."""
        reading = self._launched.read_cores() if self._launched else None
        if reading is not None:
            self._marks.append(reading)

    def starved(self, readings: Iterable[TelemetryRow], client_cpu_s: float) -> str | None:
        """What it lacked, in words; None where it had what it was leased, or nobody knows.

        `readings`: its telemetry meanwhile; `client_cpu_s`: what whoever measured took.
        """
        launched = self._launched
        if launched is None:
            return None
        by_cores = None
        if len(self._marks) > 1:
            by_cores = starved_of_cores(
                self._marks[0],
                self._marks[-1],
                cores=len(launched.cores),
                client_cpu_s=client_cpu_s,
            )
        return by_cores or starved_of_gpus(readings, launched.max_clocks_mhz)


class Server:
    """A server that answers. Made by `serve`."""

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        hardware_class: str,
        facts: list[ProvenanceRow],
        launched: LaunchedServer | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.hardware_class = hardware_class
        self._facts = facts
        self._launched = launched

    def row(self) -> ServerRow | None:
        """How it stands now or, once it is gone, how it went; None for one we did not start."""
        return self._launched.row() if self._launched else None

    def provenance(self) -> list[ProvenanceRow]:
        """What it runs on and from."""
        return self._facts

    def trouble(self) -> Trouble | None:
        """Why it is no longer to be measured. Cheap, for any thread, as often as wanted."""
        return self._launched.trouble() if self._launched else None

    def look(self) -> Trouble | None:
        """The same, but looked for now: to be asked when requests have just failed. Milliseconds
        from a healthy server, seconds from another."""
        return self._launched.look() if self._launched else None

    def check(self) -> None:
        """Look, and raise ServerDied or ServerHung with the log's last lines."""
        if self._launched:
            self._launched.check()

    def drain_telemetry(self) -> list[TelemetryRow]:
        """Readings since the last call: hardware and the engine's own counters, once a second."""
        return self._launched.drain() if self._launched else []

    def watch_hardware(self) -> HardwareWatch:
        """Tells afterwards whether it got what it was leased, between two marks."""
        return HardwareWatch(self._launched)

    def read_counters(self) -> dict[str, float]:
        """The engine's own counters right now, for a level's boundaries; {} where it has none.

        They are kept among the telemetry, too.
        """
        return self._launched.read_counters() if self._launched else {}


@contextmanager
def serve(
    target: Target,
    home: Home,
    *,
    base_dir: Path,
    run_dir: Path,
    launch: int = 1,
    machine: Machine | None = None,
    on_progress: OnProgress = ignore,
    on_row: Callable[[ServerRow], None] = lambda _: None,
    options: Options = DEFAULT_OPTIONS,
    built: EngineEnvironment | None = None,
) -> Iterator[Server]:
    """Serve a target until the block is left.

    `base_dir` is what the suite's paths start from, `run_dir` takes log and reports, `launch`
    counts the launches of a run. `built` is an engine environment from before, in the place of what
    the suite's text makes today. `on_row` gets a row for every launch when it is over, failed boots
    included. Raises BadInput, EngineEnvironmentError, LeaseError, BootFailed, BootTimeout, and
    TeardownFailed where nothing worse is already on its way.
    """
    if target.is_attached:
        patience = Patience(
            patience_s=REMOTE_S,
            say=lambda words: on_progress(Progress("boot", target.name, f"waiting: {words}")),
        )
        where = machine.leases if machine else lease_folder.directory()
        with _alone(target, where, options, on_progress):
            endpoint = external_api.connect_to(target, os.environ, patience=patience)
            facts = provenance.of_remote(endpoint.base_url)
            yield Server(endpoint=endpoint, hardware_class="remote", facts=facts)
        return
    machine = machine or this_machine()
    environment, model = prepare(target, home, base_dir, machine, on_progress, built=built)
    if environment is not None:
        keeping.mark_used(home.engines / environment.key)
    job = LaunchRequest(
        target=target,
        machine=machine,
        environment=environment,
        model=model,
        run_dir=run_dir,
        launch=launch,
        options=options,
    )
    for attempt in range(1, PORT_ATTEMPTS + 1):
        try:
            with launched(job, on_progress, on_row) as live:
                yield _server(live)
                return
        except PortTaken:
            if options.port is not None or attempt == PORT_ATTEMPTS:
                raise BootFailed(
                    f"another process took the port before {target.name} could bind it",
                    hint="Choose another port, or let nightbench choose one.",
                ) from None


@contextmanager
def _alone(
    target: Target, where: Path, options: Options, on_progress: OnProgress
) -> Iterator[None]:
    """No other run of this machine at the same server, unless the suite says that it is shared."""
    address = target_engine.address_of(target)
    if target.is_shared or not address:
        yield
        return
    with endpoint_leases.alone_at(
        address,
        where,
        target.name,
        wait=options.wait_for_lease,
        within_s=options.lease_within_s,
        on_progress=on_progress,
        clock=options.clock,
    ):
        yield


def _server(live: LaunchedServer) -> Server:
    job, lease = live.started.job, live.started.lease
    model_path = Path(job.model) if job.model and Path(job.model).exists() else None
    return Server(
        endpoint=live.endpoint,
        hardware_class=provenance.hardware_class(lease.gpus, lease.cores, provenance.cpu_model()),
        facts=provenance.gather(
            environment=job.environment,
            engine_version=live.engine_version,
            inventory=job.machine.inventory,
            gpus=lease.gpus,
            cores=lease.cores,
            model_path=model_path,
            model_source=job.target.model,
            container_id=live.container_id(),
        ),
        launched=live,
    )


def prepare(
    target: Target,
    home: Home,
    base_dir: Path,
    machine: Machine,
    on_progress: OnProgress,
    *,
    built: EngineEnvironment | None = None,
) -> tuple[EngineEnvironment | None, str | None]:
    """Engine and model, before any hardware is held and before the boot clock starts. Slow once.
    `built`: the environment, where it is known already.

    Raises ArgumentsRefused where the engine does not take the target's arguments.
    """
    engine = target_engine.adapter_of(target)
    if target.is_attached:
        return None, None
    if engine.provision:
        provide: Provisioner = resolve_name(engine.provision)
        return provide(target, home, base_dir, has_gpu=machine.has_gpu, on_progress=on_progress)
    if built is None and engine.is_built(target.engine):
        built = environments.ensure(
            target_engine.environment_of(target) or "auto",
            home,
            on_progress=on_progress,
            has_gpu=machine.has_gpu,
            kind=engine.kind,
        )
    model = target.model
    if engine.needs_model or models.is_fetched(model or ""):
        found = models.resolve(model or "", home, built, base_dir, on_progress=on_progress)
        if built is not None:
            preflight.require_accepted(target, built, str(found), on_progress)
        return built, str(found)
    # A command may know models by names of its own; what is a path here is one.
    here = base_dir / model if model else None
    return built, str(here.resolve()) if here and here.exists() else model

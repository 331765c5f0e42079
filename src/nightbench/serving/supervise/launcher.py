"""The start of a launch: hardware leased, port chosen, key made, supervisor running."""

from __future__ import annotations

import math
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from nightbench.endpoint import Endpoint
from nightbench.engines import container, target_engine
from nightbench.engines.adapter import Launch
from nightbench.errors import BadInput, LeaseError
from nightbench.progress import OnProgress
from nightbench.secrets.child_env import engine_environment, public_env
from nightbench.secrets.redaction import Redactor
from nightbench.secrets.values import secrets_of, secrets_passed_on
from nightbench.serving import probing, scratch
from nightbench.serving.hardware import gpus, leases
from nightbench.serving.hardware.leases import Lease
from nightbench.serving.hardware.machine import Machine
from nightbench.serving.provision.environments import EngineEnvironment
from nightbench.serving.scratch import Scratch
from nightbench.serving.supervise.container_launch import contained
from nightbench.serving.supervise.supervisor_client import Isolation, Order, Supervised
from nightbench.suite.models import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to serve, where it is not the suite's business.

    `port` None takes a free one. `grace_s` is from SIGTERM to SIGKILL; with the proof after it,
    teardown fits in 20 s.
    """

    wait_for_lease: bool = True
    lease_within_s: float = math.inf
    port: int | None = None
    grace_s: float = 8.0
    isolation: Isolation = "auto"
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRequest:
    """What is to be launched: everything that is known before hardware is held."""

    target: Target
    machine: Machine
    environment: EngineEnvironment | None  # None where the target brings its own command
    model: str | None
    run_dir: Path
    launch: int
    options: Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A server that is starting: on what, by which command, under which supervisor."""

    job: LaunchRequest
    lease: Lease
    port: int
    endpoint: Endpoint
    launch: Launch
    public_env: dict[str, str] = field(repr=False)
    memory_before: dict[str, int]  # GPU uuid to bytes used
    started_at: datetime
    launch_id: str  # what its processes and containers are marked with
    supervised: Supervised


def start(job: LaunchRequest, on_progress: OnProgress) -> Started:
    """Lease, choose a port, hand the locks to a supervisor. Raises LeaseError, BadInput."""
    inherited = engine_environment(os.environ, target_engine.pass_env(job.target))
    request = leases.LeaseRequest(
        subject=job.target.name,
        num_gpus=0 if _runs_on_cores(job) else target_engine.num_gpus(job.target),
        cores=job.machine.cores,
        wait=job.options.wait_for_lease,
        within_s=job.options.lease_within_s,
    )
    lease = leases.acquire(
        request,
        job.machine.leases,
        job.machine.inventory,
        read_use=job.machine.gpu_use,
        on_progress=on_progress,
    )
    try:
        return _start(job, lease, inherited)
    finally:
        lease.hand_over()


def _runs_on_cores(job: LaunchRequest) -> bool:
    """Whether the engine is a CPU build, on whatever machine."""
    return job.environment is not None and job.environment.flavour == "cpu"


def _start(job: LaunchRequest, lease: Lease, inherited: dict[str, str]) -> Started:
    port = choose_port(job.options.port)
    endpoint = Endpoint(
        base_url=f"http://{probing.HOST}:{port}/v1",
        model=target_engine.served_name(job.target),
        api_key=secrets.token_urlsafe(24),
        redact=Redactor.from_env(os.environ),
        limits=job.target.limits.in_bytes(),
    )
    launch_id = secrets.token_hex(16)
    launch = _plan(job, lease, endpoint, port)
    endpoint = replace(endpoint, cache_reset_path=launch.cache_reset_path)
    chosen = _hardware_env(job, lease) | launch.env
    if job.environment is not None:
        launch = contained(
            launch,
            job.environment,
            lease,
            model=job.model,
            port=port,
            launch_id=launch_id,
            run_dir=_run_dir(job),
            variables=(*chosen, *target_engine.pass_env(job.target)),
        )
    env = inherited | chosen
    # What the log must not hold: what the engine has, and what we know and it may have found.
    passed = secrets_passed_on(env, target_engine.pass_env(job.target))
    hidden = endpoint.redact.knowing(*secrets_of(env), *passed)
    memory_before, started_at = gpu_memory(job.machine, lease), datetime.now(UTC)
    return Started(
        job=job,
        lease=lease,
        port=port,
        endpoint=replace(endpoint, redact=hidden),
        launch=launch,
        public_env=public_env(env, chosen, private=target_engine.pass_env(job.target)),
        memory_before=memory_before,
        started_at=started_at,
        launch_id=launch_id,
        supervised=_supervise(
            job, lease, launch, env, hidden=hidden, launch_id=launch_id, port=port
        ),
    )


def _plan(job: LaunchRequest, lease: Lease, endpoint: Endpoint, port: int) -> Launch:
    launch = target_engine.plan_launch(
        job.target,
        model_path=job.model,
        host=probing.HOST,
        port=port,
        api_key=endpoint.api_key,
        flavour=job.environment.flavour if job.environment else "cuda",
        cores=lease.cores,
        store=str(job.environment.store) if job.environment else "",
    )
    environment, keeps_argv = job.environment, target_engine.adapter_of(job.target).keeps_argv
    if environment is None or environment.image is not None or keeps_argv:
        return launch
    return replace(launch, argv=(str(environment.executable), *launch.argv[1:]))


def _run_dir(job: LaunchRequest) -> Path:
    return job.run_dir / f"server-{job.launch}"


def _supervise(
    job: LaunchRequest,
    lease: Lease,
    launch: Launch,
    env: dict[str, str],
    *,
    hidden: Redactor,
    launch_id: str,
    port: int,
) -> Supervised:
    """Hand the lease over, and a temporary folder that goes with the server."""
    private = _private_folder(job)
    if "TMPDIR" not in launch.env:
        env = env | {"TMPDIR": str(private.path)}
    try:
        return Supervised(
            Order(
                argv=launch.argv,
                env=env,
                secrets=tuple(sorted(hidden.secrets)),
                run_dir=_run_dir(job),
                claims=lease.claims,
                scratch=private,
                launch_id=launch_id,
                record={
                    "subject": job.target.name,
                    "port": port,
                    "container": launch.container is not None,
                },
                grace_s=job.options.grace_s,
                isolation=job.options.isolation,
                afterwards=(container.remove_argv(launch.container),) if launch.container else (),
            )
        )
    finally:
        private.hand_over()


def _private_folder(job: LaunchRequest) -> Scratch:
    scratch.sweep()
    try:
        return scratch.make()
    except OSError as error:
        raise LeaseError(
            f"{job.target.name}: cannot create a temporary folder: {error}",
            hint="Free some space, or set TMPDIR to another folder.",
        ) from error


def gpu_memory(machine: Machine, lease: Lease) -> dict[str, int]:
    """Bytes used now on each leased GPU, by uuid."""
    use = machine.gpu_use([gpu.uuid for gpu in lease.gpus])
    return {uuid: gpu.memory_used_bytes for uuid, gpu in use.items()}


def choose_port(wanted: int | None) -> int:
    """The port to use; raises BadInput where the wanted one is taken."""
    if wanted is None:
        return probing.free_port()
    if probing.is_listening(probing.HOST, wanted):
        pids = probing.listener_pids(wanted)
        who = f" by pid {', '.join(map(str, pids))}" if pids else ""
        raise BadInput(
            f"port {wanted} is taken{who}",
            hint="Choose another, or let nightbench choose one.",
        )
    return wanted


def _hardware_env(job: LaunchRequest, lease: Lease) -> dict[str, str]:
    """Which GPUs, and where compiled code is kept: per environment, warm on the next night."""
    env = gpus.cuda_env(lease.gpus, job.machine.inventory) if lease.gpus else {}
    environment = job.environment
    if environment is None:
        return env
    # Tools of the environment (ninja) are looked for by name.
    env["PATH"] = f"{environment.executable.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    if environment.cache is not None:
        env |= target_engine.adapter_of(job.target).cache_env(environment.cache)
    return env

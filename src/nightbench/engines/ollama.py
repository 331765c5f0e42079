"""Ollama: it is told everything by its environment, and serves whatever its store holds.

Source of the variables: Ollama's FAQ and `ollama serve --help`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from nightbench.suite.engines import OllamaEngine
from nightbench.suite.types import Scalar

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

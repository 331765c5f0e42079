"""How `new-suite` asks for an engine, and writes it into a suite."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WizardAnswers:
    """What `new-suite` knows when it writes an engine's lines."""

    num_gpus: int  # of the node that the suite is for
    tensor_parallel_size: int = 1
    base_url: str | None = None
    provider: str | None = None
    api_key_env: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wizard:
    """How `new-suite` asks for an engine and writes it.

    `lines` are the keys below `engine:`, without indentation. `command` is looked for on this
    machine, `usual_model` is what is offered, `model_forms` says beside the model what may be there
    instead. `is_parallel` engines are asked how many GPUs to use; one that is not `is_started` is
    asked for its address. One that `has_own_names` for models (gemma3:4b) is given what was typed.
    """

    lines: Callable[[WizardAnswers], list[str]]
    command: str = ""
    usual_model: str = ""
    model_forms: str = "or a folder, hf:organisation/name@revision, modelscope:…"
    is_parallel: bool = False
    is_started: bool = True
    has_own_names: bool = False


def parallel_lines(answers: WizardAnswers) -> list[str]:
    """The keys of an engine that nightbench builds and that spans GPUs."""
    size, there = answers.tensor_parallel_size, gpus_text(answers.num_gpus)
    return [
        "environment: auto # or {requirement: …}, {executable: …}, {image: …}",
        f"tensor_parallel_size: {size} # of {there}",
        "args: {} # the engine's own options: {max-model-len: 8192, …}",
    ]


def gpus_text(number: int) -> str:
    """`no GPU`, `1 GPU`, `4 GPUs`."""
    return f"{number or 'no'} GPU{'s' * (number > 1)}"


def yaml_scalar(value: str | None) -> str:
    """A scalar as YAML, quoted where plain text would be read as something else."""
    text = value or ""
    plain = re.fullmatch(r"[A-Za-z0-9/_][A-Za-z0-9/._@+-]*(:[A-Za-z0-9/._@+-]+)*", text)
    reserved = re.fullmatch(r"[0-9.:e+-]+|true|false|yes|no|on|off|null", text, re.IGNORECASE)
    return text if plain and not reserved else json.dumps(text)

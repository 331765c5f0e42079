"""A suite's text from what a person answered: pure, commented, and ready to be edited."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal

EngineKind = Literal["vllm", "lmdeploy", "sglang", "ollama", "remote"]
ENGINES: tuple[EngineKind, ...] = ("vllm", "lmdeploy", "sglang", "ollama", "remote")

# A benchmark that ships with nightbench is there without a hub.
DEFAULT_BENCHMARKS = ("starter",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What this machine has."""

    gpus: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()  # of vllm, lmdeploy, ollama, docker
    for_gpus: int | None = None  # of the node that the suite is meant for, where it is another

    def sentence(self) -> str:
        """It for a person."""
        if self.for_gpus is not None:
            return f"for a node with {_gpus(self.for_gpus)}"
        gpus = f"{len(self.gpus)} GPUs ({self.gpus[0]})" if self.gpus else "no GPU"
        commands = f"; installed: {', '.join(self.commands)}" if self.commands else ""
        return gpus + commands

    @property
    def num_gpus(self) -> int:
        """Those of the node that the suite is meant for."""
        return len(self.gpus) if self.for_gpus is None else self.for_gpus


def _gpus(number: int) -> str:
    return f"{number or 'no'} GPU{'s' * (number > 1)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What is to be benchmarked."""

    engine: EngineKind
    model: str | None
    base_url: str | None = None
    provider: str | None = None
    api_key_env: str | None = None
    tensor_parallel_size: int = 1
    benchmarks: tuple[str, ...] = DEFAULT_BENCHMARKS
    max_concurrency: tuple[int, ...] = (1, 4, 16)
    name: str | None = None

    def suite_name(self) -> str:
        """The name given, else one made of the model's."""
        model = (self.model or self.provider or "my-suite").removesuffix("/")
        last = re.split(r"[/:]", model.partition("@")[0])[-1]
        tag = model.partition(":")[2] if self.engine == "ollama" else ""
        made = f"{model.partition(':')[0].rpartition('/')[2]}-{tag}" if tag else last
        return self.name or re.sub(r"[^a-z0-9._-]+", "-", made.lower()).strip("-.") or "my-suite"


def suite_text(answers: Answers, found: Found) -> str:
    """The file."""
    return "\n".join(
        [*_head(answers, found), *_target(answers, found), *_accuracy(answers), *_load(answers)]
    )


def _head(answers: Answers, found: Found) -> list[str]:
    name = answers.suite_name()
    return [
        f"# Written by nightbench new-suite: {found.sentence()}.",
        "#",
        f"#   nightbench plan {name}.yaml     what it would do: commands, hardware, requests, time",
        f"#   nightbench run  {name}.yaml     do it now",
        f"name: {_yaml(name)}",
        "time_budget: 4h # what does not fit is left out by priority, and said",
        "",
    ]


def _target(answers: Answers, found: Found) -> list[str]:
    lines = ["targets:", f"  - name: {_yaml(f'{answers.suite_name()}-{answers.engine}')}"]
    if answers.engine == "remote":
        if answers.model:
            lines.append(f"    served_model_name: {_yaml(answers.model)}")
        else:
            lines.append("    # served_model_name: asked of the API, where it lists one only")
    else:
        lines.append(f"    model: {_yaml(answers.model)} # {_forms(answers.engine)}")
    lines += ["    engine:", f"      kind: {answers.engine}"]
    lines += _engine(answers, found)
    if answers.engine != "remote":
        lines += ["    boot_timeout_s: 1800", ""]
    return lines


def _forms(engine: EngineKind) -> str:
    if engine == "ollama":
        return "a name of Ollama's library, or the path of a GGUF file"
    return "or a folder, hf:organisation/name@revision, modelscope:…"


def _engine(answers: Answers, found: Found) -> list[str]:
    match answers.engine:
        case "remote":
            where = ("provider", answers.provider or "")
            if answers.base_url:
                where = ("base_url", answers.base_url)
            key = answers.api_key_env
            return [
                f"      {where[0]}: {_yaml(where[1])}",
                f"      api_key_env: {key}" if key else "      # api_key_env: NAME_OF_A_VARIABLE",
                "      # requests_per_second: 2       never faster than this",
                "      # max_retries: 4",
                "",
            ]
        case "ollama":
            return [
                f"      num_gpus: {min(1, found.num_gpus)}",
                "      env: {OLLAMA_CONTEXT_LENGTH: 8192} # else long prompts are cut silently",
                "      # base_url: http://127.0.0.1:11434     instead, for an Ollama that runs",
            ]
        case _:
            return _started(answers, found)


def _started(answers: Answers, found: Found) -> list[str]:
    size, there = answers.tensor_parallel_size, found.num_gpus
    lines = [
        "      environment: auto # or {requirement: …}, {executable: …}, {image: …}",
        f"      tensor_parallel_size: {size} # of {_gpus(there)}",
    ]
    if answers.engine == "vllm" and not there:
        lines += [
            "      # Without a GPU it is the CPU build: float32, not compiled, a short context.",
            "      args: {dtype: float32, enforce-eager: true, max-model-len: 4096}",
            '      env: {VLLM_CPU_KVCACHE_SPACE: "2"} # GB',
        ]
    else:
        lines.append("      args: {} # the engine's own options: {max-model-len: 8192, …}")
    return lines


def _accuracy(answers: Answers) -> list[str]:
    if not answers.benchmarks:
        return []
    lines = ["accuracy:"]
    for benchmark in answers.benchmarks:
        lines += [
            f"  - benchmark: {_yaml(benchmark)}",
            f"    max_concurrency: {max(answers.max_concurrency, default=16)}",
            "    generation: {temperature: 0}",
            "    # limit: 100                     only the first questions",
            "    # data: path/to/a/local/copy     where no hub is reached",
        ]
    return [*lines, ""]


def _load(answers: Answers) -> list[str]:
    if not answers.max_concurrency:
        return []
    return [
        "load:",
        "  - name: random-256",
        "    # Other prompts: {kind: openqa, path: FILE.jsonl}, sharegpt, longalpaca, custom, …",
        "    workload: {kind: random, random_input_len: 256}",
        f"    max_concurrency: {json.dumps(list(answers.max_concurrency))}",
        "    num_prompts: 50 # of each level",
        "    warmup_prompts: 5",
        "    # ignore_eos makes every answer equally long: what is judged best.",
        "    generation: {max_tokens: 128, ignore_eos: true}",
        "",
        "slo: {ttft_p95_ms: 1000, tpot_p95_ms: 100}",
        "",
    ]


def _yaml(value: str | None) -> str:
    """A scalar as YAML, quoted where plain text would be read as something else."""
    text = value or ""
    plain = re.fullmatch(r"[A-Za-z0-9/_][A-Za-z0-9/._@+-]*(:[A-Za-z0-9/._@+-]+)*", text)
    reserved = re.fullmatch(r"[0-9.:e+-]+|true|false|yes|no|on|off|null", text, re.IGNORECASE)
    return text if plain and not reserved else json.dumps(text)

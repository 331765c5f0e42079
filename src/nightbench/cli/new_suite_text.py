"""A suite's text from what a person answered: pure, commented, and ready to be edited."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from nightbench.engines.wizard import Wizard, WizardAnswers, gpus_text, yaml_scalar
from nightbench.errors import BadInput
from nightbench.plugins import ENGINES

# A benchmark that ships with nightbench is there without a hub.
DEFAULT_BENCHMARKS = ("starter",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What this machine has."""

    gpus: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()  # of those that engines are started by, and docker
    for_gpus: int | None = None  # of the node that the suite is meant for, where it is another

    def sentence(self) -> str:
        """It for a person."""
        if self.for_gpus is not None:
            return f"for a node with {gpus_text(self.for_gpus)}"
        gpus = f"{len(self.gpus)} GPUs ({self.gpus[0]})" if self.gpus else "no GPU"
        commands = f"; installed: {', '.join(self.commands)}" if self.commands else ""
        return gpus + commands

    @property
    def num_gpus(self) -> int:
        """Those of the node that the suite is meant for."""
        return len(self.gpus) if self.for_gpus is None else self.for_gpus


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteChoices:
    """What is to be benchmarked."""

    engine: str
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
        tag = model.partition(":")[2] if wizard_of(self.engine).has_own_names else ""
        made = f"{model.partition(':')[0].rpartition('/')[2]}-{tag}" if tag else last
        return self.name or re.sub(r"[^a-z0-9._-]+", "-", made.lower()).strip("-.") or "my-suite"


def offered() -> dict[str, Wizard]:
    """The engines that can be asked for, with how; one that is broken is not offered."""
    wizards = {name: engine.wizard for name, engine in ENGINES.usable().items()}
    return {name: wizard for name, wizard in wizards.items() if wizard is not None}


def wizard_of(kind: str) -> Wizard:
    """How an engine is asked for. Raises BadInput where it cannot be."""
    there = offered()
    if kind in ENGINES.names() and kind not in there:
        ENGINES.find(kind)  # says why it cannot be used
    if kind not in there:
        raise BadInput(f"there is no engine {kind}", hint=f"There are {', '.join(there)}.")
    return there[kind]


def suite_text(answers: SuiteChoices, found: Found) -> str:
    """The file."""
    return "\n".join(
        [*_head(answers, found), *_target(answers, found), *_accuracy(answers), *_load(answers)]
    )


def _head(answers: SuiteChoices, found: Found) -> list[str]:
    name = answers.suite_name()
    return [
        f"# Written by nightbench new-suite: {found.sentence()}.",
        "#",
        f"#   nightbench plan {name}.yaml     what it would do: commands, hardware, requests, time",
        f"#   nightbench run  {name}.yaml     do it now",
        f"name: {yaml_scalar(name)}",
        "time_budget: 4h # what does not fit is skipped, by priority, and reported",
        "",
    ]


def _target(answers: SuiteChoices, found: Found) -> list[str]:
    wizard, name = wizard_of(answers.engine), f"{answers.suite_name()}-{answers.engine}"
    lines = ["targets:", f"  - name: {yaml_scalar(name)}"]
    if wizard.is_started and answers.model:
        lines.append(f"    model: {yaml_scalar(answers.model)} # {wizard.model_forms}")
    elif answers.model:
        lines.append(f"    served_model_name: {yaml_scalar(answers.model)}")
    else:
        lines.append("    # served_model_name: default: the only one the API lists")
    lines += ["    engine:", f"      kind: {answers.engine}"]
    lines += _engine(answers, found)
    return [*lines, *(["    boot_timeout_s: 1800"] if wizard.is_started else []), ""]


def _engine(answers: SuiteChoices, found: Found) -> list[str]:
    known = WizardAnswers(
        num_gpus=found.num_gpus,
        tensor_parallel_size=answers.tensor_parallel_size,
        base_url=answers.base_url,
        provider=answers.provider,
        api_key_env=answers.api_key_env,
    )
    return [f"      {line}" for line in wizard_of(answers.engine).lines(known)]


def _accuracy(answers: SuiteChoices) -> list[str]:
    if not answers.benchmarks:
        return []
    lines = ["accuracy:"]
    for benchmark in answers.benchmarks:
        lines += [
            f"  - benchmark: {yaml_scalar(benchmark)}",
            f"    max_concurrency: {max(answers.max_concurrency, default=16)}",
            "    generation: {temperature: 0}",
            "    # limit: 100                     only the first questions",
            "    # data: path/to/a/local/copy     if no hub can be reached",
        ]
    return [*lines, ""]


def _load(answers: SuiteChoices) -> list[str]:
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
        "    # ignore_eos makes all outputs equally long, which compares best over nights.",
        "    generation: {max_tokens: 128, ignore_eos: true}",
        "",
        "slo: {ttft_p95_ms: 1000, tpot_p95_ms: 100}",
        "",
    ]

"""What to benchmark: strict, frozen models of suite.yaml, as a person writes it.

Reading a suite touches nothing but its file. Whether a model or a data file is there is asked by
`nightbench.night.planning`, whether the hardware is there by `nightbench.serving`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SerializeAsAny, model_validator
from pydantic_core import PydanticCustomError

from nightbench.errors import BadInput, PluginError
from nightbench.plugins import ENGINES, WORKLOADS
from nightbench.suite.engines import EngineOfAKind, Environment, words_without_keys
from nightbench.suite.types import (
    Name,
    PositiveFloat,
    PositiveInt,
    Scalar,
    Seconds,
    Strict,
    TimeOfDay,
)
from nightbench.suite.verdicts import VerdictSettings
from nightbench.untrusted.limits import MB, MOST_MB, AnswerLimits

if TYPE_CHECKING:
    from nightbench.engines.remote import RemoteEngine

__all__ = [
    "AccuracySpec",
    "Environment",
    "Gates",
    "Generation",
    "Limits",
    "LoadSpec",
    "NightCommand",
    "Scalar",
    "Slo",
    "Strict",
    "Suite",
    "SwanlabSettings",
    "Target",
    "Timeouts",
    "VerdictSettings",
    "Workload",
]

_DURATION = re.compile(r"^(?P<number>\d+(\.\d+)?)(?P<unit>s|m|h)$")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration_s(value: object) -> object:
    """`90s`, `15m`, `5h` as seconds; numbers stay seconds."""
    if not isinstance(value, str):
        return value
    match = _DURATION.match(value.strip())
    if match is None:
        raise ValueError("expected a duration such as 90s, 15m or 5h")
    return float(match["number"]) * _SECONDS[match["unit"]]


DurationS = Annotated[Seconds, BeforeValidator(parse_duration_s)]


def _as_list(value: object) -> object:
    return value if isinstance(value, list | tuple) or value is None else [value]


Api = Literal["chat", "completions"]
Megabytes = Annotated[float, Field(gt=0, le=MOST_MB)]


class Generation(Strict):
    """Sampling parameters, by the names of the OpenAI API and vLLM. Unset ones are not sent."""

    temperature: Annotated[float, Field(ge=0)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: int | None = None
    max_tokens: PositiveInt | None = None
    min_tokens: Annotated[int, Field(ge=0)] | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logprobs: bool | None = None
    n: PositiveInt | None = None
    chat_template_kwargs: dict[str, Any] = {}
    extra_body: dict[str, Any] = {}

    def body(self) -> dict[str, Any]:
        """The JSON members of a request body that say how to generate."""
        fields = self.model_dump(exclude_none=True, exclude={"extra_body"})
        return {
            key: value for key, value in fields.items() if value not in ((), {})
        } | self.extra_body


class Timeouts(Strict):
    """Seconds a request may take: to connect, to its first token, between tokens, in all."""

    connect: Seconds = 10
    first_token: Seconds = 120
    between_tokens: Seconds = 30
    total: Seconds = 600


class Limits(Strict):
    """How much a server may answer, in MB (10^6 bytes): one answer, one that is an error or a page
    of counters, a list of models. What is more is not read, and fails the request."""

    answer_mb: Megabytes = 64
    error_mb: Megabytes = 8
    model_list_mb: Megabytes = 16

    def in_bytes(self) -> AnswerLimits:
        """The same, as those who read want it."""
        return AnswerLimits(
            answer_bytes=round(self.answer_mb * MB),
            error_bytes=round(self.error_mb * MB),
            model_list_bytes=round(self.model_list_mb * MB),
        )


class AccuracySpec(Strict):
    """One benchmark as a suite asks for it. `data` is a local folder or file instead of the hub.

    `name` is what results call it: one benchmark asked in two ways is two series, each by its name.

    The first questions are taken under a limit, or with `sample_seed` a random choice of them, the
    same every night. `few_shot` replaces the benchmark's own number of examples. Benchmarks that
    run what the model wrote (in a sandbox) do so only where `allow_code_execution` is true.
    `api: completions` sends the prompt as it stands, for models without a chat template.
    """

    benchmark: Name
    name: Name | None = None
    api: Api = "chat"
    subsets: tuple[str, ...] | None = None
    source: Literal["hf", "modelscope"] | None = None
    data: str | None = None
    limit: PositiveInt | None = None
    limit_per_subset: PositiveInt | None = None
    sample_seed: int | None = None
    few_shot: Annotated[int, Field(ge=0)] | None = None
    system_prompt: str | None = None
    max_concurrency: PositiveInt = 16
    repeats: PositiveInt = 1
    priority: int = 0  # higher first; what comes last is what a time budget leaves out
    timeout_s: Seconds = 600
    allow_code_execution: bool = False
    generation: Generation = Generation()

    @property
    def label(self) -> str:
        """What results call it."""
        return self.name or self.benchmark

    @model_validator(mode="after")
    def _text_has_no_chat(self) -> AccuracySpec:
        if self.api == "completions" and (
            self.system_prompt is not None or self.generation.chat_template_kwargs
        ):
            raise ValueError("system_prompt and chat_template_kwargs go with api: chat")
        return self


def _known_workload(kind: str) -> str:
    if kind not in WORKLOADS.our_names():
        try:
            WORKLOADS.find(kind)
        except PluginError as error:
            raise PydanticCustomError("plugin", "{said}", {"said": error.message}) from error
        except BadInput:
            *first, last = (f"'{name}'" for name in WORKLOADS.names())
            listed = f"{', '.join(first)} or {last}"
            raise PydanticCustomError(
                "no_such_kind", "Input should be {listed}", {"listed": listed}
            ) from None
    return kind


class Workload(Strict):
    """Where the prompts of a load come from.

    `path` is a file, or its place on a hub (`modelscope:org/name/file`, `hf:org/name/file`); openqa
    without one is EvalScope's. `custom` takes one column of a file of records (JSONL, JSON, CSV,
    TSV, Parquet), `python` what a function of a Python file returns.
    """

    kind: Annotated[str, AfterValidator(_known_workload)]
    path: str | None = None
    column: str | None = None
    function: str | None = None
    prompt: str | None = None
    random_input_len: PositiveInt | None = None
    repeat: bool = False  # a data set shorter than what is asked may be gone through again

    @model_validator(mode="after")
    def _has_its_source(self) -> Workload:
        for field in WORKLOADS.find(self.kind).needs:
            if getattr(self, field) is None:
                raise ValueError(f"a workload of kind {self.kind} needs {field}")
        return self

    @property
    def source(self) -> str | None:
        """The file's path or place on a hub; None where prompts are not read from a file."""
        return self.path or WORKLOADS.find(self.kind).source


def _as_its_kind(given: object) -> object:
    """What a kind with keys of its own makes of a mapping; every other is read as it is."""
    kind = given.get("kind") if isinstance(given, dict) else None
    if not isinstance(kind, str) or kind in WORKLOADS.our_names():
        return given
    try:
        config = WORKLOADS.find(kind).config
    except BadInput:
        return given  # told as the problem of its key
    return config.model_validate(given)


# Serialized with the keys of its kind, not only with those that all have.
WorkloadOfAKind = SerializeAsAny[Annotated[Workload, BeforeValidator(_as_its_kind)]]


class LoadSpec(Strict):
    """A workload and the levels to drive it at: max_concurrency (closed loop) or request_rate
    (open loop, requests per second; `inf` sends all at once)."""

    name: Name
    workload: WorkloadOfAKind
    max_concurrency: Annotated[tuple[PositiveInt, ...] | None, BeforeValidator(_as_list)] = None
    request_rate: Annotated[tuple[PositiveFloat, ...] | None, BeforeValidator(_as_list)] = None
    burstiness: PositiveFloat = 1.0  # 1 is Poisson; larger is steadier; inf is constant
    num_prompts: PositiveInt | None = None
    duration_s: DurationS | None = None
    warmup_prompts: Annotated[int, Field(ge=0)] = 0
    seed: int = 0
    priority: int = 0  # as a benchmark's
    generation: Generation = Generation()
    # Beside include_usage; false: not sent at all, for servers that know none.
    stream_options: dict[str, Any] | Literal[False] = {}
    timeouts_s: Timeouts = Timeouts()

    @model_validator(mode="after")
    def _one_way_to_drive(self) -> LoadSpec:
        if (self.max_concurrency is None) == (self.request_rate is None):
            raise ValueError("expected exactly one of max_concurrency and request_rate")
        if (self.num_prompts is None) == (self.duration_s is None):
            raise ValueError("expected exactly one of num_prompts and duration_s")
        return self


class Target(Strict):
    """One model on one engine configuration: what a series over nights is about.

    `accuracy` and `load`, where given, replace the suite's for this target. A server that shows no
    life for `hang_timeout_s` is ended; without GPUs, ten times that while its processes compute.
    """

    name: Name
    model: str | None = None
    served_model_name: str | None = None
    engine: EngineOfAKind
    boot_timeout_s: DurationS = 1800
    hang_timeout_s: DurationS = 30
    limits: Limits = Limits()
    priority: int = 0  # higher first, where the time budget does not hold all
    accuracy: tuple[AccuracySpec, ...] | None = None
    load: tuple[LoadSpec, ...] | None = None

    @model_validator(mode="after")
    def _model_where_needed(self) -> Target:
        engine = ENGINES.find(self.engine.kind)
        if self.model is None and engine.needs_model:
            raise ValueError(f"model: {engine.needs_model}")
        engine.refuse(self.engine, self.model, self.served_model_name)
        return self

    @property
    def attached_to(self) -> RemoteEngine | None:
        """The API that somebody else runs, where that is what the target is."""
        return ENGINES.find(self.engine.kind).attached(self.engine)

    @property
    def is_attached(self) -> bool:
        """Whether somebody else runs the server: it is neither started nor stopped."""
        return self.attached_to is not None

    @property
    def is_shared(self) -> bool:
        """Whether several runs may be at the same server at once."""
        attached = self.attached_to
        return attached is not None and attached.shared

    @property
    def requests_per_second(self) -> float | None:
        """How fast the API may be asked, where somebody else limits that."""
        return self.attached_to.requests_per_second if self.attached_to else None

    @property
    def max_retries(self) -> int | None:
        """How often a failed question is asked again, where the suite says so."""
        return self.attached_to.max_retries if self.attached_to else None


class Slo(Strict):
    """Limits a request, or a level's percentile, must meet."""

    ttft_p95_ms: PositiveFloat | None = None
    tpot_p95_ms: PositiveFloat | None = None
    e2el_p95_ms: PositiveFloat | None = None


class Gates(Strict):
    """What makes `nightbench run --gate` exit with 3.

    `max_regression` 0.05: a target that is worse than it was by 5 % or more, in any judged metric.
    """

    min_accuracy: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}
    max_regression: Annotated[float, Field(gt=0, lt=1)] | None = None


class SwanlabSettings(Strict):
    """How the dashboards are named. `level_experiment` asks for one experiment per load level too;
    {target}, {served_model_name}, {workload}, {num_prompts} and {max_concurrency} are filled in."""

    project: Name = "nightbench"
    level_experiment: str | None = None


class NightCommand(Strict):
    """A command of the night itself, outside every target: drain the node, tell the cluster.

    It runs in the suite's folder, is ended after `timeout`, and is told NIGHTBENCH_RUN_ID,
    NIGHTBENCH_NIGHT, NIGHTBENCH_SUITE and, in `after`, NIGHTBENCH_STATUS. Of nightbench's own
    environment it gets the system's part, and what `pass_env` names.
    """

    argv: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(words_without_keys)]
    timeout: DurationS = 300
    env: dict[str, Scalar] = {}
    pass_env: tuple[str, ...] = ()


class Suite(Strict):
    """A suite file.

    `must_end_by` is a time of day in the time zone of the nights' schedule. Where a command of
    `before` fails nothing is measured; those of `after` run however the night went.
    """

    name: Name
    description: str = ""
    time_budget: DurationS | None = None
    must_end_by: TimeOfDay | None = None
    before: tuple[NightCommand, ...] = ()
    after: tuple[NightCommand, ...] = ()
    targets: Annotated[tuple[Target, ...], Field(min_length=1)]
    matrix: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    accuracy: tuple[AccuracySpec, ...] = ()
    load: tuple[LoadSpec, ...] = ()
    slo: Slo = Slo()
    gates: Gates = Gates()
    verdicts: VerdictSettings = VerdictSettings()
    swanlab: SwanlabSettings = SwanlabSettings()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Suite:
        _refuse_duplicates("targets", [target.name for target in self.targets])
        _refuse_duplicates("load", [load.name for load in self.load])
        _refuse_alike(self.accuracy, "accuracy")
        for target in self.targets:
            _refuse_alike(target.accuracy or (), f"targets.{target.name}.accuracy")
            for load in self.load_of(target):
                _refuse_faster(load, target)
                _refuse_duplicates(f"load {load.name}", _steps_of(load))
        self._refuse_gates_without_numbers()
        return self

    def _refuse_gates_without_numbers(self) -> None:
        """A gate that nothing could ever break is a typing error."""
        asked = {spec.label for target in self.targets for spec in self.accuracy_of(target)}
        for benchmark in self.gates.min_accuracy:
            if benchmark not in asked:
                there = ", ".join(sorted(asked)) or "none"
                raise ValueError(
                    f"gates.min_accuracy.{benchmark}: no target is asked it; there are {there}"
                )
        loads = any(self.load_of(target) for target in self.targets)
        if self.gates.max_regression is not None and not (asked or loads):
            raise ValueError("gates.max_regression: nothing is measured that could regress")

    def accuracy_of(self, target: Target) -> tuple[AccuracySpec, ...]:
        """The benchmarks this target is asked, highest priority first."""
        chosen = self.accuracy if target.accuracy is None else target.accuracy
        return tuple(sorted(chosen, key=lambda spec: -spec.priority))

    def load_of(self, target: Target) -> tuple[LoadSpec, ...]:
        """The loads this target is put under, highest priority first."""
        chosen = self.load if target.load is None else target.load
        return tuple(sorted(chosen, key=lambda spec: -spec.priority))


def _steps_of(load: LoadSpec) -> list[str]:
    """What its levels are called in the history."""
    return [f"{step:g}" for step in (load.max_concurrency or load.request_rate or ())]


def _refuse_faster(load: LoadSpec, target: Target) -> None:
    """A load that would ask an API more often than it is allowed to be asked."""
    limit = target.requests_per_second
    if limit is None or (load.request_rate and max(load.request_rate) <= limit):
        return
    raise ValueError(
        f"load {load.name}: {target.name} may be asked {limit:g} times a second: expected "
        f"request_rate of at most {limit:g}"
    )


def _refuse_alike(entries: tuple[AccuracySpec, ...], where: str) -> None:
    """Two entries whose results could not be told apart."""
    labels = [entry.label.lower().replace("-", "_") for entry in entries]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise ValueError(
            f"{where}: {', '.join(twice)} is there twice: expected a name of its own for each "
            "(name: iquiz-cold)"
        )


def _refuse_duplicates(what: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{what}: expected distinct names, {', '.join(twice)} is there twice")

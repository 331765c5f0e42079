"""What a target is asked: benchmarks and loads of a suite, as strict, frozen models."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SerializeAsAny, model_validator
from pydantic_core import PydanticCustomError

from nightbench.errors import BadInput, PluginError
from nightbench.plugins import WORKLOADS
from nightbench.suite.types import Name, PositiveFloat, PositiveInt, Seconds, Strict
from nightbench.untrusted.limits import MB, MOST_MB, AnswerLimits

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
            raise ValueError("system_prompt and chat_template_kwargs need api: chat")
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

"""What a load asks for, as levels: pure, so that tonight's plan is last night's plan."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nightbench.load.plan.arrivals import Arrivals

if TYPE_CHECKING:
    from nightbench.load.plan.workloads import Prompts
    from nightbench.suite.models import LoadSpec

# Part of every measurement key: raised when the same suite would be measured differently.
GENERATOR_VERSION = 1

CHAT_PATH = "/chat/completions"

# A closed loop that is bounded by time needs its prompts before it starts: no stream is expected
# to finish more requests a second than this. Ending early for lack of prompts is said.
MOST_REQUESTS_PER_STREAM_AND_SECOND = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelTimeouts:
    """Seconds: to connect, to the first token, between tokens, in all."""

    connect: float
    first_token: float
    between_tokens: float
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One load step. Exactly one of `max_concurrency` and `request_rate` is set.

    It owns the prompts [first_prompt, first_prompt + warmup_prompts + num_prompts): the warm-up's
    come first, and no other level has any of them. `num_prompts` is what is sent at most where
    `duration_s` bounds the level.
    """

    workload: str
    label: str
    max_concurrency: int | None
    request_rate: float | None
    burstiness: float
    num_prompts: int
    duration_s: float | None
    warmup_prompts: int
    first_prompt: int
    seed: int
    generation: dict[str, Any]
    timeouts: LevelTimeouts
    stream: bool = True
    query_template: str | None = None  # a JSON object with %m and %p for the model and the prompt
    # Beside include_usage; None: stream_options are not sent at all.
    stream_options: dict[str, Any] | None = field(default_factory=dict)
    path: str = CHAT_PATH  # beneath the endpoint's base URL
    response_parser: str | None = None  # FILE.py:FUNCTION, event in, event of OpenAI's shape out

    @property
    def arrivals(self) -> Arrivals | None:
        """When requests leave, in an open loop."""
        if self.request_rate is None:
            return None
        return Arrivals(rate=self.request_rate, burstiness=self.burstiness, seed=self.seed)

    @property
    def choices(self) -> int:
        """How many answers a request asks for."""
        n = self.generation.get("n")
        return n if isinstance(n, int) and n > 0 else 1

    @property
    def most_tokens(self) -> float:
        """How many tokens an answer may have, all its choices together; inf: nobody says."""
        names = ("max_tokens", "max_completion_tokens")
        limits = [value for name in names if isinstance(value := self.generation.get(name), int)]
        return max(limits) * self.choices if limits else math.inf

    @property
    def prompts_needed(self) -> int:
        """How many prompts there must be for this level and the ones before it."""
        return self.first_prompt + self.warmup_prompts + self.num_prompts

    def measurement_key(self, prompts: Prompts) -> str:
        """The digest of everything that is asked, and how: rows with the same key may be compared.

        The model and its server are not in it: those are the target.
        """
        own = prompts.digest(self.first_prompt, self.warmup_prompts + self.num_prompts)
        asked = {
            "generator": GENERATOR_VERSION,
            "prompts": own,
            "generation": self.generation,
            "max_concurrency": self.max_concurrency,
            "request_rate": _json_number(self.request_rate),
            "burstiness": _json_number(self.burstiness) if self.request_rate else None,
            "num_prompts": self.num_prompts,
            "duration_s": self.duration_s,
            "warmup_prompts": self.warmup_prompts,
            "seed": self.seed if self.request_rate else None,
            "timeouts": [
                self.timeouts.connect,
                self.timeouts.first_token,
                self.timeouts.between_tokens,
                self.timeouts.total,
            ],
            "stream": self.stream,
            "query_template": self.query_template,
        }
        # Left out where they are as ever: keys that are there stay what they were.
        if self.path != CHAT_PATH:
            asked["path"] = self.path
        if self.stream_options != {}:
            asked["stream_options"] = self.stream_options
        if self.response_parser is not None:
            asked["response_parser"] = self.response_parser
        text = json.dumps(asked, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def plan_levels(
    spec: LoadSpec,
    *,
    stream: bool = True,
    query_template: str | None = None,
    path: str = CHAT_PATH,
    response_parser: str | None = None,
) -> tuple[Level, ...]:
    """The levels of a load, in order, each with prompts of its own."""
    steps: list[tuple[int | None, float | None]]
    if spec.max_concurrency is not None:
        steps = [(concurrency, None) for concurrency in spec.max_concurrency]
    else:
        steps = [(None, rate) for rate in spec.request_rate or ()]
    levels: list[Level] = []
    first_prompt = 0
    for concurrency, rate in steps:
        level = _level(spec, concurrency, rate, first_prompt)
        level = replace(
            level,
            stream=stream,
            query_template=query_template,
            path="/" + path.lstrip("/"),
            response_parser=response_parser,
        )
        levels.append(level)
        first_prompt = level.prompts_needed
    return tuple(levels)


def _level(spec: LoadSpec, concurrency: int | None, rate: float | None, first_prompt: int) -> Level:
    timeouts = spec.timeouts_s
    return Level(
        workload=spec.name,
        label=f"c{concurrency}" if concurrency is not None else f"r{rate:g}",
        max_concurrency=concurrency,
        request_rate=rate,
        burstiness=spec.burstiness,
        num_prompts=spec.num_prompts or _prompts_for(spec, concurrency, rate),
        duration_s=spec.duration_s,
        warmup_prompts=spec.warmup_prompts,
        first_prompt=first_prompt,
        seed=spec.seed,
        stream_options=None if spec.stream_options is False else spec.stream_options,
        generation=spec.generation.body(),
        timeouts=LevelTimeouts(
            connect=timeouts.connect,
            first_token=timeouts.first_token,
            between_tokens=timeouts.between_tokens,
            total=timeouts.total,
        ),
    )


def _prompts_for(spec: LoadSpec, concurrency: int | None, rate: float | None) -> int:
    """How many prompts a level bounded by time may use."""
    duration_s = spec.duration_s or 0.0
    if concurrency is not None:
        return math.ceil(duration_s * concurrency * MOST_REQUESTS_PER_STREAM_AND_SECOND)
    arrivals = Arrivals(rate=rate or math.inf, burstiness=spec.burstiness, seed=spec.seed)
    return arrivals.count_within(duration_s)


def _json_number(value: float | None) -> float | str | None:
    return str(value) if value is not None and math.isinf(value) else value

"""How much a suite asks, and how long that takes: as in the last nights, else as assumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nightbench.accuracy import benchmarks, questions
from nightbench.accuracy.record_sources import RecordReader
from nightbench.data import loading
from nightbench.errors import NightbenchError
from nightbench.night.budget import BOOT, Stage, expected_s
from nightbench.suite.models import AccuracySpec, LoadSpec, Target

# What an unmeasured server is assumed to do; `plan` says so beside its estimate.
ASSUMED_BOOT_S = 120.0
ASSUMED_TTFT_S = 0.5
ASSUMED_TPOT_S = 0.03
ASSUMED_MAX_TOKENS = 512

Times = Mapping[str, float]  # seconds that a stage took in the last nights, by its name


@dataclass(frozen=True, slots=True)
class PlannedLoad:
    """One workload: its levels, the requests they send and how long that would take."""

    name: str
    levels: tuple[str, ...]
    requests: int
    estimate_s: float
    is_assumed: bool = True  # for one of its levels at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many questions a benchmark asks. `number` None: nobody knows before it is fetched."""

    number: int | None
    is_most: bool = False  # subsets may hold fewer


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBenchmark:
    """One benchmark: how it is asked, how often, and how long that would take (None: unknown)."""

    text: str
    count: Count
    repeats: int
    estimate_s: float | None
    is_assumed: bool


def plan_benchmark(
    spec: AccuracySpec, target: Target, base_dir: Path | None, took_s: Times
) -> PlannedBenchmark:
    """What one benchmark would do. Records are read where they are at hand."""
    count = count_questions(spec, base_dir)
    stage = Stage(f"accuracy {spec.label}")
    known = stage.name in took_s
    return PlannedBenchmark(
        text=describe_benchmark(spec),
        count=count,
        repeats=spec.repeats,
        estimate_s=expected_s(stage, took_s) if known else _assumed_s(spec, target, count),
        is_assumed=not known,
    )


def describe_benchmark(spec: AccuracySpec) -> str:
    """`iquiz (16 at a time, temperature 1.0, max_tokens 4096)`."""
    parts = [f"{spec.max_concurrency} at a time"]
    parts += [f"as {spec.api}"] if spec.api != "chat" else []
    parts += [f"first {spec.limit} questions"] if spec.limit else []
    parts += [f"{spec.repeats} times"] if spec.repeats > 1 else []
    parts += [f"{key} {value}" for key, value in spec.generation.body().items()]
    named = f"{spec.name}: " if spec.name else ""
    return f"{named}{spec.benchmark} ({', '.join(parts)})"


def count_questions(spec: AccuracySpec, base_dir: Path | None) -> Count:
    """How many questions are asked once: counted where the records are here, else what the limits
    come to."""
    try:
        benchmark, chosen = questions.as_asked(benchmarks.find(spec.benchmark), spec)
        if base_dir is not None:
            source = RecordReader(benchmark, spec, base_dir).hub()
            bounded = spec.limit is not None or spec.limit_per_subset is not None
            if source is None or (not bounded and loading.is_cached(*source)):
                return Count(number=len(questions.prepare(benchmark, spec, base_dir).questions))
    except (NightbenchError, OSError):  # said elsewhere: as wrong, or as missing
        return Count(number=None)
    limits = [spec.limit] if spec.limit is not None else []
    if spec.limit_per_subset is not None:
        limits.append(spec.limit_per_subset * len(chosen))
    number = min(limits, default=None)
    return Count(number=number, is_most=number is not None and number > len(chosen))


def _assumed_s(spec: AccuracySpec, target: Target, count: Count) -> float | None:
    if count.number is None:
        return None
    asked = count.number * spec.repeats
    tokens = min(spec.generation.max_tokens or ASSUMED_MAX_TOKENS, ASSUMED_MAX_TOKENS)
    answer_s = ASSUMED_TTFT_S + tokens * ASSUMED_TPOT_S
    pace = target.requests_per_second
    return max(
        asked * answer_s / min(spec.max_concurrency, asked or 1), asked / pace if pace else 0
    )


def plan_load(spec: LoadSpec, took_s: Times | None = None) -> PlannedLoad:
    """The levels of a load and the requests they send, warm-up included."""
    took_s = took_s or {}
    max_tokens = spec.generation.max_tokens or ASSUMED_MAX_TOKENS
    latency_s = ASSUMED_TTFT_S + max_tokens * ASSUMED_TPOT_S
    if spec.max_concurrency is not None:
        steps = [(f"max_concurrency {n}", f"c{n}", latency_s / n) for n in spec.max_concurrency]
    else:
        rates = spec.request_rate or ()
        steps = [(f"request_rate {r:g}", f"r{r:g}", 1 / r) for r in rates]
    num_prompts = [_num_prompts(spec, step_s) for *_, step_s in steps]
    stages = [Stage(f"load {spec.name} {label}") for _, label, _ in steps]
    seconds = [
        expected_s(stage, took_s) if stage.name in took_s else spec.duration_s or count * step_s
        for count, (*_, step_s), stage in zip(num_prompts, steps, stages, strict=True)
    ]
    return PlannedLoad(
        name=spec.name,
        levels=tuple(told for told, *_ in steps),
        requests=sum(num_prompts) + spec.warmup_prompts * len(steps),
        estimate_s=sum(seconds),
        is_assumed=any(stage.name not in took_s for stage in stages),
    )


def boot_s(target: Target, took_s: Times) -> float:
    """How long its server takes to answer."""
    return 0.0 if target.is_attached else took_s.get(BOOT, ASSUMED_BOOT_S)


def _num_prompts(spec: LoadSpec, step_s: float) -> int:
    if spec.num_prompts is not None:
        return spec.num_prompts
    return int((spec.duration_s or 0) / step_s) if step_s else 0

"""Made-up nights with the shape of real ones: for tests of the history and for its benchmark.

Everything follows from the seed, so that two makings of a history are the same history.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from nightbench.history.spool.writer import RUN_FOLDER, Spool, SpoolIdentity
from nightbench.records import (
    AccuracyResult,
    AccuracySample,
    AnnotationRow,
    FurtherValue,
    LoadInterval,
    LoadLevel,
    LoadRequest,
    ProvenanceRow,
    RunRow,
    ServerRow,
    TargetRow,
    TelemetryRow,
    VerdictRow,
)

FIRST_NIGHT = date(2026, 1, 1)
FAMILIES = ("ttft", "ttfat", "tpot", "itl", "icl", "e2el", "queue")
STATISTICS = ("mean", "median", "p90", "p95", "p99")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How much a night holds. `drop_from`: the night (counted from 0) on which the first target
    becomes worse, for people to find."""

    targets: tuple[str, ...] = ("starter",)
    levels: tuple[int, ...] = (1, 4, 8)
    requests: int = 4
    chunks: int = 5
    samples: int = 6
    telemetry: int = 3
    suite: str = "starter"
    drop_from: int | None = None
    accuracy_key: str = "m-starter"  # how the benchmark is asked
    judged: bool = False  # verdicts and an annotation, in a folder of their own


def run_id_of(night: int) -> str:
    """The run of the n-th night."""
    return f"{began(night):%Y%m%dT%H%M%SZ}-starter-{night:06x}"


def began(night: int) -> datetime:
    """When the n-th night began."""
    return datetime.combine(FIRST_NIGHT + timedelta(days=night), datetime.min.time(), UTC)


def spool_night(spool: Path, night: int, shape: Shape = Shape()) -> list[Path]:
    """Spool a whole night by the real code; returns its sealed folders."""
    sealed = [spool_target(spool, night, target, shape) for target in shape.targets]
    with Spool.open(spool, _identity(night, RUN_FOLDER), now=lambda: began(night)) as own:
        own.append(run_row(night, shape, status="running", ended_at=None))
        own.append(ProvenanceRow(name="suite_file", value=f"suites/{shape.suite}.yaml"))
        own.append(ProvenanceRow(name="targets", value=json.dumps(shape.targets)))
        own.append(run_row(night, shape, status="completed", ended_at=_after(night, 3600)))
    folders = [*sealed, own.folder]
    return [*folders, spool_judgement(spool, night, shape)] if shape.judged else folders


def spool_judgement(spool: Path, night: int, shape: Shape) -> Path:
    """What was said about a night once its targets had landed."""
    with Spool.open(spool, _identity(night, "_judged"), now=lambda: began(night)) as judged:
        for target in shape.targets:
            judged.append(verdict_row(night, target))
        judged.append(
            AnnotationRow(
                target=shape.targets[0],
                hardware_class="cpu x 2",
                measurement_key="m-c1",
                kind="accepted",
                reason="new driver",
                author="ops",
                made_at=_after(night, 5000),
            )
        )
    return judged.folder


def verdict_row(night: int, target: str) -> VerdictRow:
    """A throughput that fell."""
    return VerdictRow(
        target=target,
        hardware_class="cpu x 2",
        measurement_key="m-c1",
        name="openqa",
        subset_or_level="c1",
        metric="output_throughput",
        verdict="regressed",
        value=36.0,
        baseline=40.0,
        relative_change=-0.1,
        p_value=0.001,
        since=began(night).date(),
        detail="10 % below the last 14 nights",
        judged_at=_after(night, 4000),
        node="node1",
        size_pct=11.1,
        lo_pct=9.0,
        hi_pct=13.0,
        event=f"{target}-{began(night):%Y%m%d}",
        event_kind="regressed",
        touched=["openqa output_throughput"],
        changed="driver 550 → 570",
    )


def spool_target(spool: Path, night: int, target: str, shape: Shape) -> Path:
    """Spool one target of a night."""
    opened = Spool.open(spool, _identity(night, target), now=lambda: began(night))
    for row in rows_of(night, target, shape):
        opened.append(row)
    opened.set_hardware_class("cpu x 2")
    return opened.seal("completed")


def rows_of(night: int, target: str, shape: Shape) -> Iterator[object]:
    """Every row of a target in a night."""
    rng = random.Random(f"{night}/{target}")
    worse = shape.drop_from is not None and night >= shape.drop_from and target == shape.targets[0]
    yield target_row(night, target, status="running", ended_at=None)
    yield server_row(night)
    yield ProvenanceRow(name="slo_ttft_p95_ms", value="500")
    yield ProvenanceRow(name="driver_version", value="570" if worse else "550")
    yield from _accuracy(night, shape, rng, worse=worse)
    for concurrency in shape.levels:
        yield from _level(night, shape, rng, concurrency, worse=worse)
    for second in range(shape.telemetry):
        yield TelemetryRow(
            read_at=_after(night, second), source="host", name="cpu_percent", value=50.0 + second
        )
        for gpu in ("gpu0", "gpu1"):
            yield TelemetryRow(
                read_at=_after(night, 600 + second), source=gpu, name="power_w", value=300.0
            )
    yield FurtherValue(
        kind="rep",
        number=1,
        workload="openqa",
        level="c1",
        measurement_key="m-c1",
        metric="queue_depth",  # no metric that is judged
        value=1.0,
        valid=True,
        measured_at=_after(night, 2800),
    )
    yield target_row(night, target, status="completed", ended_at=_after(night, 3000))


def run_row(night: int, shape: Shape, *, status: str, ended_at: datetime | None) -> RunRow:
    """The run of a night."""
    return RunRow(
        suite=shape.suite,
        suite_digest="d1",
        status=status,
        trigger="schedule",
        started_at=began(night),
        ended_at=ended_at,
        nightbench_version="0.1.0",
        host="node1",
    )


def target_row(night: int, target: str, *, status: str, ended_at: datetime | None) -> TargetRow:
    """A target of a night."""
    return TargetRow(
        model="builtin:smollm2-135m-instruct",
        served_model_name=target,
        engine_kind="vllm",
        engine_version="0.32.0",
        config_digest="c1",
        status=status,
        started_at=began(night),
        ended_at=ended_at,
    )


def server_row(night: int) -> ServerRow:
    """A launch that went well."""
    return ServerRow(
        launch=1,
        engine_kind="vllm",
        engine_version="0.32.0",
        argv=["python", "-m", "vllm"],
        env='{"VLLM_TARGET_DEVICE": "cpu"}',
        base_url="http://127.0.0.1:8000/v1",
        pid=4242,
        started_at=began(night),
        boot_s=35.0,
        boot_process_s=10.0,
        boot_weights_s=5.0,
        boot_first_answer_s=1.0,
        stopped_at=_after(night, 2900),
        exit_reason="stopped",
        exit_code=0,
        teardown_s=2.0,
        teardown_clean=True,
    )


def _accuracy(night: int, shape: Shape, rng: random.Random, *, worse: bool) -> Iterator[object]:
    right_rate = 0.55 if worse else 0.8
    num_correct = 0
    for number in range(shape.samples):
        correct = rng.random() < right_rate
        num_correct += correct
        yield sample_row(night, number, correct=correct)
    spread = 0.02 * (rng.random() - 0.5)
    accuracy = min(1.0, max(0.0, right_rate + spread))
    yield AccuracyResult(
        benchmark="starter",
        subset="all",
        measurement_key=shape.accuracy_key,
        started_at=_after(night, 60),
        duration_s=30.0,
        num_samples=shape.samples,
        num_questions=shape.samples,
        repeats=1,
        num_failed=0,
        num_correct=float(num_correct),
        accuracy=accuracy,
        ci_low=max(0.0, accuracy - 0.05),
        ci_high=min(1.0, accuracy + 0.05),
        accuracy_strict=accuracy,
        disagreements=0,
        extraction_failed=0,
        truncated=0,
        max_concurrency=16,
        prompt_tokens=1000,
        completion_tokens=500,
        data_digest="q1",
        valid=True,
        invalid_reasons=[],
    )


def sample_row(night: int, number: int, *, correct: bool) -> AccuracySample:
    """One question and its answer."""
    return AccuracySample(
        benchmark="starter",
        subset="anchor",
        sample_id=f"q{number}",
        repeat=0,
        prompt_hash=f"h{number}",
        question="What is 1 + 1? 一加一",
        reply="2" if correct else "\x1b[31mthree\x1b[0m",
        reasoning=None,
        extracted="2" if correct else "3",
        extracted_strict="2" if correct else None,
        gold="2",
        correct=correct,
        correct_strict=correct,
        extraction_failed=False,
        truncated=False,
        finish_reason="stop",
        error_kind=None,
        error=None,
        prompt_tokens=20,
        completion_tokens=1,
        reasoning_tokens=None,
        latency_ms=40.0,
        retries=0,
        asked_at=_after(night, 61),
    )


def _level(
    night: int, shape: Shape, rng: random.Random, concurrency: int, *, worse: bool
) -> Iterator[object]:
    slowness = (1.3 if worse else 1.0) * (1 + 0.02 * rng.random())
    medians = {
        "ttft": 30.0 + 3 * concurrency, "ttfat": 31.0 + 3 * concurrency, "tpot": 20.0, "itl": 20.0,
        "icl": 20.0, "e2el": 500.0, "queue": 0.1,
    }  # fmt: skip
    spreads = {"mean": 1.02, "median": 1.0, "p90": 1.2, "p95": 1.3, "p99": 1.6}
    numbers = {
        f"{statistic}_{family}_ms": medians[family] * slowness * spreads[statistic]
        for family in FAMILIES
        for statistic in STATISTICS
    }
    yield level_row(night, shape, concurrency, slowness, numbers)
    for family in FAMILIES:
        for statistic in STATISTICS:
            value = numbers[f"{statistic}_{family}_ms"]
            yield LoadInterval(
                workload="openqa",
                level=f"c{concurrency}",
                metric=f"{family}_ms",
                statistic=statistic,
                value=value,
                ci_low=value * 0.95,
                ci_high=value * 1.05,
                estimable=True,
            )
    for index in range(shape.requests):
        yield request_row(index, concurrency, shape.chunks, rng)


def level_row(
    night: int, shape: Shape, concurrency: int, slowness: float, numbers: dict[str, float]
) -> LoadLevel:
    """A closed-loop level."""
    throughput = 40.0 * math.sqrt(concurrency) / slowness
    return LoadLevel(
        workload="openqa",
        level=f"c{concurrency}",
        measurement_key=f"m-c{concurrency}",
        started_at=_after(night, 600 + concurrency),
        max_concurrency=concurrency,
        request_rate=None,
        num_prompts=shape.requests,
        completed=shape.requests,
        failed=0,
        duration_s=20.0,
        prompt_tokens=100,
        cached_tokens=0,
        completion_tokens=400,
        request_throughput=throughput / 100,
        output_throughput=throughput,
        total_token_throughput=throughput * 1.3,
        steady_output_throughput=throughput * 1.05,
        goodput=None,
        peak_concurrency=concurrency,
        mean_concurrency=concurrency * 0.95,
        littles_law_ratio=1.0,
        client_lag_p50_ms=0.01,
        client_lag_p99_ms=0.2,
        client_lag_max_ms=1.0,
        client_cpu_s=0.5,
        coalesced_reads=0,
        stamp_source="kernel",
        valid=True,
        invalid_reasons=[],
        **numbers,
    )


def request_row(index: int, concurrency: int, chunks: int, rng: random.Random) -> LoadRequest:
    """A request that went well."""
    ttft_ms = 30.0 + 10 * rng.random()
    gaps = [int(20_000 + 1000 * rng.random()) for _ in range(max(0, chunks - 1))]
    return LoadRequest(
        workload="openqa",
        level=f"c{concurrency}",
        request_index=index,
        prompt_hash=f"p{concurrency}-{index}",
        scheduled_us=index * 1000,
        sent_us=index * 1000 + 50,
        first_chunk_us=index * 1000 + 50 + int(ttft_ms * 1000),
        first_answer_us=index * 1000 + 50 + int(ttft_ms * 1000),
        last_chunk_us=index * 1000 + 50 + int(ttft_ms * 1000) + sum(gaps),
        connect_ms=0.2,
        ttft_ms=ttft_ms,
        ttfat_ms=ttft_ms,
        tpot_ms=20.0,
        e2el_ms=ttft_ms + sum(gaps) / 1000,
        queue_ms=0.05,
        client_lag_max_ms=0.1,
        ttft_bound_ms=None,
        coalesced_reads=0,
        prompt_tokens=30,
        cached_tokens=0,
        completion_tokens=chunks,
        reasoning_tokens=None,
        token_source="usage",
        finish_reason="stop",
        http_status=200,
        error_kind=None,
        error=None,
        chunk_deltas_us=[int(ttft_ms * 1000), *gaps],
        chunk_tokens=[1] * chunks,
    )


def _identity(night: int, target: str) -> SpoolIdentity:
    return SpoolIdentity(
        run_id=run_id_of(night), target=target, night=FIRST_NIGHT + timedelta(days=night)
    )


def _after(night: int, seconds: float) -> datetime:
    return began(night) + timedelta(seconds=seconds)

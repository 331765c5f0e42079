"""Ask an endpoint one benchmark and score what comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path

from nightbench import progress
from nightbench.accuracy import benchmarks
from nightbench.accuracy.asking import Pace, ask_all, given
from nightbench.accuracy.asking_plan import AskingPlan, measurement_key, plan_asking
from nightbench.accuracy.benchmark import opened_score
from nightbench.accuracy.benchmark_summary import Circumstances, summarise
from nightbench.accuracy.client import Send, opened_client
from nightbench.accuracy.questions import PreparedBenchmark, prepare
from nightbench.accuracy.recorder import SampleRecorder
from nightbench.accuracy.retries import MAX_RETRIES
from nightbench.endpoint import Endpoint
from nightbench.progress import OnProgress, Progress
from nightbench.records import AccuracyResult, AccuracySample
from nightbench.suite.models import AccuracySpec


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _ignore(plan: AskingPlan) -> None:
    """Nobody wants to know."""


def _never() -> str | None:
    return None


def evaluate(
    spec: AccuracySpec,
    endpoint: Endpoint,
    *,
    base_dir: Path,
    on_sample: Callable[[AccuracySample], None],
    on_progress: OnProgress = progress.ignore,
    stop: Callable[[], str | None] = _never,
    already: Sequence[AccuracySample] = (),
    on_plan: Callable[[AskingPlan], None] = _ignore,
    requests_per_second: float | None = None,
    max_retries: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
    now: Callable[[], datetime] = _utc_now,
    send: Send | None = None,
) -> tuple[AccuracyResult, ...]:
    """The benchmark's score at this endpoint: a row over all of it, then one per subset.

    `on_sample` gets every answer as it comes, so that it can be spooled. `already` holds answers of
    this very run, or of the one it resumes, from before it was interrupted: those that reply to a
    prompt that would be sent are scored by what counts now, and not asked again; `on_plan` gets
    them, once, with what is still to be asked, before anything is asked. `stop` is polled; the
    reason it returns ends the asking at once and makes the rows invalid. `clock` is in seconds.

    Raises BadInput or DataError before anything is sent, and EndpointError when the endpoint
    refuses or is not there before it answered anything. Later failures are samples with an
    `error_kind`, which count as wrong.
    """
    prepared = prepare(benchmarks.find(spec.benchmark), spec, base_dir)
    plan = plan_asking(prepared, spec.repeats, already)
    pace = Pace(
        max_concurrency=spec.max_concurrency,
        requests_per_second=requests_per_second,
        clock=clock,
        max_retries=MAX_RETRIES if max_retries is None else max_retries,
    )
    sender = _sender(spec, endpoint, send)
    with opened_score(prepared.benchmark) as score:
        plan = plan.rescored(prepared, score)
        on_plan(plan)
        if plan.kept:
            on_progress(_what_is_kept(plan, spec.label))
        tally = SampleRecorder(
            spec.label,
            plan,
            score,
            score_takes_long=prepared.benchmark.open_score is not None,
            on_sample=on_sample,
            on_progress=on_progress,
            now=now,
        )
        started_at = now()
        duration_s, ended_early = asyncio.run(_ask(plan, spec, sender, pace, tally, stop=stop))
    around = _circumstances(spec, prepared, started_at, duration_s, ended_early)
    return summarise(_in_order(tally.samples, prepared), around)


def _circumstances(
    spec: AccuracySpec,
    prepared: PreparedBenchmark,
    started_at: datetime,
    duration_s: float,
    ended_early: str | None,
) -> Circumstances:
    return Circumstances(
        benchmark=spec.label,
        measurement_key=measurement_key(spec, prepared),
        started_at=started_at,
        duration_s=duration_s,
        repeats=spec.repeats,
        max_concurrency=spec.max_concurrency,
        data_digest=prepared.data_digest,
        ended_early=ended_early,
    )


def _in_order(
    samples: Sequence[AccuracySample], prepared: PreparedBenchmark
) -> list[AccuracySample]:
    order = {q.sample_id: position for position, q in enumerate(prepared.questions)}
    return sorted(samples, key=lambda s: (order[s.sample_id], s.repeat))


def _what_is_kept(plan: AskingPlan, benchmark: str) -> Progress:
    detail = f"{len(plan.kept)} of {plan.total} replies reused from before"
    return Progress(phase="resume", subject=benchmark, detail=detail)


def _sender(
    spec: AccuracySpec, endpoint: Endpoint, send: Send | None
) -> AbstractAsyncContextManager[Send]:
    if send is not None:
        return given(send)
    return opened_client(endpoint, max_concurrency=spec.max_concurrency, timeout_s=spec.timeout_s)


async def _ask(
    plan: AskingPlan,
    spec: AccuracySpec,
    sender: AbstractAsyncContextManager[Send],
    pace: Pace,
    tally: SampleRecorder,
    *,
    stop: Callable[[], str | None],
) -> tuple[float, str | None]:
    """Ask what is left; the seconds it took, opening the client apart, and why it ended early."""
    asks = plan.asks(spec)
    async with sender as send:
        started_s = pace.clock()
        early = await ask_all(asks, send, pace, on_answer=tally.answered, stop=stop)
        return pace.clock() - started_s, early

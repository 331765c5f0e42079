"""Ask an endpoint one benchmark and score what comes back."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nightbench import progress
from nightbench.accuracy import benchmarks
from nightbench.accuracy.asking import Answered, Pace, ask_all, given
from nightbench.accuracy.benchmark import Score, ScoreReply, opened_score
from nightbench.accuracy.chat import Ask, Reply, Send, chat_sender
from nightbench.accuracy.questions import PreparedBenchmark, PreparedQuestion, prepare
from nightbench.accuracy.summary import Circumstances, summarise
from nightbench.endpoint import Endpoint
from nightbench.progress import OnProgress, Progress
from nightbench.records import AccuracyResult, AccuracySample
from nightbench.suite import AccuracySpec, Generation
from nightbench.terminal_text import storable_text

KEY_CHARS = 16
_VERSION = 1  # of asking and scoring: raised when the same replies would score differently
_NO_SCORE = Score(extracted=None, extracted_strict=None, correct=False, correct_strict=False)


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _ignore(sample: AccuracySample) -> None:
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
    on_kept: Callable[[AccuracySample], None] = _ignore,
    requests_per_second: float | None = None,
    clock: Callable[[], float] = time.perf_counter,
    now: Callable[[], datetime] = _utc_now,
    send: Send | None = None,
) -> tuple[AccuracyResult, ...]:
    """The benchmark's score at this endpoint: a row over all of it, then one per subset.

    `on_sample` gets every answer as it comes, so that it can be spooled. `already` holds answers of
    this very run, or of the one it resumes, from before it was interrupted: they are counted, given
    to `on_kept` and not asked again (a sample whose prompt has changed since is asked). `stop` is
    polled; the reason it returns ends the asking at once and makes the rows invalid. `clock` is in
    seconds.

    Raises BadInput or DataError before anything is sent, and EndpointError when the endpoint
    refuses or is not there before it answered anything. Later failures are samples with an
    `error_kind`, which count as wrong.
    """
    prepared = prepare(benchmarks.find(spec.benchmark), spec, base_dir)
    plan = _plan(prepared, spec.repeats, already)
    _say_what_is_kept(plan, spec.benchmark, on_kept, on_progress)
    pace = Pace(
        max_concurrency=spec.max_concurrency,
        requests_per_second=requests_per_second,
        clock=clock,
    )
    sender = _sender(spec, endpoint, send)
    with opened_score(prepared.benchmark) as score:
        tally = _Tally(
            spec,
            plan,
            score,
            score_takes_long=prepared.benchmark.open_score is not None,
            on_sample=on_sample,
            on_progress=on_progress,
            now=now,
        )
        started_at = now()
        duration_s, ended_early = asyncio.run(_ask(plan, spec, sender, pace, tally, stop=stop))
    around = Circumstances(
        benchmark=spec.benchmark,
        measurement_key=measurement_key(spec, prepared),
        started_at=started_at,
        duration_s=duration_s,
        repeats=spec.repeats,
        max_concurrency=spec.max_concurrency,
        data_digest=prepared.data_digest,
        ended_early=ended_early,
    )
    order = {q.sample_id: position for position, q in enumerate(prepared.questions)}
    samples = sorted(tally.samples, key=lambda s: (order[s.sample_id], s.repeat))
    return summarise(samples, around)


def _say_what_is_kept(
    plan: _Plan,
    benchmark: str,
    on_kept: Callable[[AccuracySample], None],
    on_progress: OnProgress,
) -> None:
    for sample in plan.kept:
        on_kept(sample)
    if plan.kept:
        detail = f"{len(plan.kept)} of {plan.total} replies taken over, not asked again"
        on_progress(Progress(phase="resume", subject=benchmark, detail=detail))


def _sender(
    spec: AccuracySpec, endpoint: Endpoint, send: Send | None
) -> AbstractAsyncContextManager[Send]:
    if send is not None:
        return given(send)
    return chat_sender(endpoint, max_concurrency=spec.max_concurrency, timeout_s=spec.timeout_s)


async def _ask(
    plan: _Plan,
    spec: AccuracySpec,
    sender: AbstractAsyncContextManager[Send],
    pace: Pace,
    tally: _Tally,
    *,
    stop: Callable[[], str | None],
) -> tuple[float, str | None]:
    """Ask what is left; the seconds it took, opening the client apart, and why it ended early."""
    asks = plan.asks(spec.system_prompt)
    async with sender as send:
        started_s = pace.clock()
        early = await ask_all(asks, send, pace, on_answer=tally.answered, stop=stop)
        return pace.clock() - started_s, early


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What is still to be asked, and what was answered before."""

    todo: tuple[tuple[PreparedQuestion, int], ...]
    kept: tuple[AccuracySample, ...]

    @property
    def total(self) -> int:
        return len(self.todo) + len(self.kept)

    def asks(self, system_prompt: str | None) -> list[Ask]:
        return [
            Ask(prompt=q.prompt, generation=_seeded(q, repeat), system_prompt=system_prompt)
            for q, repeat in self.todo
        ]


def _plan(prepared: PreparedBenchmark, repeats: int, already: Sequence[AccuracySample]) -> _Plan:
    answered: Mapping[tuple[str, int, str], AccuracySample] = {
        (sample.sample_id, sample.repeat, sample.prompt_hash): sample
        for sample in already
        if sample.benchmark == prepared.benchmark.name and sample.reply is not None
    }
    # Repeat by repeat, so that a night cut short has asked every question about equally often.
    pairs = [(q, repeat) for repeat in range(repeats) for q in prepared.questions]
    keys = [(q.sample_id, repeat, q.prompt_hash) for q, repeat in pairs]
    return _Plan(
        todo=tuple(pair for pair, key in zip(pairs, keys, strict=True) if key not in answered),
        kept=tuple(answered[key] for key in keys if key in answered),
    )


def _seeded(question: PreparedQuestion, repeat: int) -> Generation:
    """With a seed, each repeat has its own, or all repeats would be one answer."""
    generation = question.generation
    if generation.seed is None or repeat == 0:
        return generation
    return generation.model_copy(update={"seed": generation.seed + repeat})


def measurement_key(spec: AccuracySpec, prepared: PreparedBenchmark) -> str:
    """A name for what is asked and how: equal keys are comparable numbers.

    `max_concurrency` is part of it, since answers at temperature 0 vary with the batch size.
    """
    asked = {
        "version": _VERSION,
        "benchmark": prepared.benchmark.name,
        "questions": [
            [question.sample_id, question.prompt_hash, question.generation.body()]
            for question in prepared.questions
        ],
        "repeats": spec.repeats,
        "max_concurrency": spec.max_concurrency,
        "system_prompt": spec.system_prompt,
    }
    text = json.dumps(asked, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_CHARS]


class _Tally:
    """Turns answers into samples as they come, and says how far it is."""

    def __init__(
        self,
        spec: AccuracySpec,
        plan: _Plan,
        score: ScoreReply,
        *,
        score_takes_long: bool,
        on_sample: Callable[[AccuracySample], None],
        on_progress: OnProgress,
        now: Callable[[], datetime],
    ) -> None:
        self.samples = list(plan.kept)
        self._spec = spec
        self._plan = plan
        self._score = score
        self._score_takes_long = score_takes_long
        self._on_sample = on_sample
        self._on_progress = on_progress
        self._now = now
        self._correct = sum(sample.correct for sample in plan.kept)

    async def answered(self, answer: Answered) -> None:
        question, repeat = self._plan.todo[answer.index]
        ended_at = self._now()
        points = await self._points(question, answer.reply)
        sample = sample_of(
            self._spec.benchmark,
            question=question,
            repeat=repeat,
            answer=answer,
            points=points,
            ended_at=ended_at,
        )
        self.samples.append(sample)
        self._correct += sample.correct
        self._on_sample(sample)
        self._say_how_far()

    async def _points(self, question: PreparedQuestion, reply: Reply | None) -> Score:
        if reply is None:
            return _NO_SCORE
        if question.score is not None:
            return question.score(question.question, reply.text)
        if self._score_takes_long:
            return await asyncio.to_thread(self._score, question.question, reply.text)
        return self._score(question.question, reply.text)

    def _say_how_far(self) -> None:
        done = len(self.samples)
        self._on_progress(
            Progress(
                phase="samples",
                subject=self._spec.benchmark,
                detail=f"{self._correct / done:.0%} right so far",
                done=done,
                total=self._plan.total,
            )
        )


def sample_of(
    benchmark: str,
    *,
    question: PreparedQuestion,
    repeat: int,
    answer: Answered,
    points: Score,
    ended_at: datetime,
) -> AccuracySample:
    """The row of one answer."""
    reply, failure = answer.reply, answer.failure
    return AccuracySample(
        benchmark=benchmark,
        subset=question.subset,
        sample_id=question.sample_id,
        repeat=repeat,
        prompt_hash=question.prompt_hash,
        question=storable_text(question.question.text),
        reply=None if reply is None else storable_text(reply.text),
        reasoning=None if reply is None or not reply.reasoning else storable_text(reply.reasoning),
        extracted=_storable(points.extracted),
        extracted_strict=_storable(points.extracted_strict),
        gold=question.question.gold,
        correct=points.correct,
        correct_strict=points.correct_strict,
        extraction_failed=points.extraction_failed,
        truncated=reply is not None and reply.finish_reason == "length",
        finish_reason=None if reply is None else reply.finish_reason,
        error_kind=None if failure is None else failure.kind,
        error=None if failure is None else failure.message,
        prompt_tokens=None if reply is None else reply.prompt_tokens,
        completion_tokens=None if reply is None else reply.completion_tokens,
        reasoning_tokens=None if reply is None else reply.reasoning_tokens,
        latency_ms=answer.latency_ms,
        retries=answer.retries,
        asked_at=ended_at - timedelta(milliseconds=answer.latency_ms),
    )


def _storable(text: str | None) -> str | None:
    return None if text is None else storable_text(text)

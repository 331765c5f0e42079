"""From answers to samples: scored as they come, with a word on how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from nightbench.accuracy.asking import QuestionResult
from nightbench.accuracy.asking_plan import AskingPlan
from nightbench.accuracy.benchmark import Score, ScoreReply
from nightbench.accuracy.questions import PreparedQuestion
from nightbench.accuracy.replies import Reply, storable
from nightbench.progress import OnProgress, Progress
from nightbench.records import AccuracySample
from nightbench.terminal_text import storable_text

LONG_CHARS = 20_000  # of a reply: what is longer is scored beside the asking, not in between
_NO_SCORE = Score(extracted=None, extracted_strict=None, correct=False, correct_strict=False)


class SampleRecorder:
    """The samples so far: those kept from before, then each answer's as it ends.

    Of answers only what counts is kept, not their texts: thousands may be of many megabytes.

    `score_takes_long`: it is given a thread, so that the asking goes on meanwhile.
    """

    def __init__(
        self,
        benchmark: str,
        plan: AskingPlan,
        score: ScoreReply,
        *,
        score_takes_long: bool,
        on_sample: Callable[[AccuracySample], None],
        on_progress: OnProgress,
        now: Callable[[], datetime],
    ) -> None:
        self.samples = list(plan.kept)
        self._benchmark = benchmark
        self._plan = plan
        self._score = score
        self._score_takes_long = score_takes_long
        self._on_sample = on_sample
        self._on_progress = on_progress
        self._now = now
        self._correct = sum(sample.correct for sample in plan.kept)

    async def answered(self, answer: QuestionResult) -> None:
        """Score one answer and hand its sample on."""
        question, repeat = self._plan.todo[answer.index]
        ended_at = self._now()
        points = await self._points(question, answer.reply)
        sample = sample_of(
            self._benchmark,
            question=question,
            repeat=repeat,
            answer=answer,
            points=points,
            ended_at=ended_at,
        )
        self.samples.append(_without_texts(sample))
        self._correct += sample.correct
        self._on_sample(sample)
        self._say_how_far()

    async def _points(self, question: PreparedQuestion, reply: Reply | None) -> Score:
        if reply is None:
            return _NO_SCORE
        score = question.score or self._score
        takes_long = question.score is None and self._score_takes_long
        if takes_long or len(reply.text) > LONG_CHARS:
            return await asyncio.to_thread(score, question.question, reply.text)
        return score(question.question, reply.text)

    def _say_how_far(self) -> None:
        done = len(self.samples)
        self._on_progress(
            Progress(
                phase="samples",
                subject=self._benchmark,
                detail=f"{self._correct / done:.0%} correct so far",
                done=done,
                total=self._plan.total,
            )
        )


def _without_texts(sample: AccuracySample) -> AccuracySample:
    """Of a text its first character stays: whether there was any says whether a result is one."""
    return replace(
        sample,
        question="",
        reply=None if sample.reply is None else sample.reply.lstrip()[:1],
        reasoning=None if sample.reasoning is None else sample.reasoning.lstrip()[:1],
    )


def sample_of(
    benchmark: str,
    *,
    question: PreparedQuestion,
    repeat: int,
    answer: QuestionResult,
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
        extracted=storable(points.extracted),
        extracted_strict=storable(points.extracted_strict),
        gold=question.question.gold,
        correct=points.correct,
        correct_strict=points.correct_strict,
        extraction_failed=points.extraction_failed,
        truncated=reply is not None and reply.finish_reason == "length",
        finish_reason=None if reply is None else reply.finish_reason,
        error_kind=None if failure is None else failure.kind,
        error=_said(answer),
        prompt_tokens=None if reply is None else reply.prompt_tokens,
        completion_tokens=None if reply is None else reply.completion_tokens,
        reasoning_tokens=None if reply is None else reply.reasoning_tokens,
        latency_ms=answer.latency_ms,
        retries=answer.retries,
        asked_at=ended_at - timedelta(milliseconds=answer.latency_ms),
        total_latency_ms=answer.total_latency_ms,
    )


def _said(answer: QuestionResult) -> str | None:
    """What went wrong: the request itself, or what a good reply says of its tokens."""
    if answer.failure is not None:
        return answer.failure.message
    return None if answer.reply is None else answer.reply.odd_usage

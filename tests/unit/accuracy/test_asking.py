from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest

from nightbench.accuracy.asking import Pace, QuestionResult, ask_all
from nightbench.accuracy.client import Ask, Send
from nightbench.accuracy.replies import AskFailed, Reply
from nightbench.errors import EndpointError
from nightbench.suite.models import Generation

ASKS = [Ask(prompt=f"question {n}", generation=Generation()) for n in range(20)]


class FakeTime:
    """Seconds that pass only when somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds
        await asyncio.sleep(0)


async def ignore(_: QuestionResult) -> None:
    """Nothing."""


def never() -> str | None:
    return None


def run(
    send: Send,
    *,
    asks: list[Ask] = ASKS,
    at_once: int = 4,
    per_second: float | None = None,
    stop: Callable[[], str | None] = never,
    time: FakeTime | None = None,
) -> tuple[list[QuestionResult], str | None]:
    passing = time or FakeTime()
    answers: list[QuestionResult] = []
    pace = Pace(
        max_concurrency=at_once,
        requests_per_second=per_second,
        clock=passing.clock,
        sleep=passing.sleep,
        jitter=lambda: 0.5,
    )

    async def on_answer(answer: QuestionResult) -> None:
        answers.append(answer)

    reason = asyncio.run(ask_all(asks, send, pace, on_answer=on_answer, stop=stop))
    return answers, reason


async def yes(ask: Ask) -> Reply:
    await asyncio.sleep(0)
    return Reply(text=f"yes to {ask.prompt}")


def test_every_question_is_asked_once_and_answered_by_its_own_reply() -> None:
    answers, reason = run(yes)

    assert reason is None
    assert sorted(a.index for a in answers) == list(range(20))
    assert all(a.reply and a.reply.text == f"yes to question {a.index}" for a in answers)


def test_never_more_than_max_concurrency_are_outstanding_and_that_many_are() -> None:
    outstanding, peak = 0, 0

    async def send(ask: Ask) -> Reply:
        nonlocal outstanding, peak
        outstanding += 1
        peak = max(peak, outstanding)
        await asyncio.sleep(0.001)
        outstanding -= 1
        return Reply(text="")

    run(send, at_once=7)

    assert peak == 7


@pytest.mark.parametrize("kind", ["connect", "unauthorized", "not_found"])
def test_an_endpoint_that_never_answers_anything_is_an_error_at_once(kind: str) -> None:
    calls = 0

    async def send(ask: Ask) -> Reply:
        nonlocal calls
        calls += 1
        raise AskFailed(kind, "no")

    with pytest.raises(EndpointError, match="no"):
        run(send, at_once=2)
    assert calls <= 2


def test_once_it_has_answered_the_same_failure_is_a_row() -> None:
    async def send(ask: Ask) -> Reply:
        if ask is ASKS[0]:
            return Reply(text="yes")
        raise AskFailed("not_found", "gone")

    answers, _ = run(send, at_once=1)

    assert [a.failure.kind for a in answers if a.failure] == ["not_found"] * 19


def test_passing_failures_are_asked_again_with_growing_delays_and_counted() -> None:
    failures = iter(["server_error", "cut", "rate_limited"])
    time = FakeTime()

    async def send(ask: Ask) -> Reply:
        kind = next(failures, None)
        if kind:
            raise AskFailed(kind, "not now", retry_after_s=9.0 if kind == "rate_limited" else None)
        return Reply(text="yes")

    answers, _ = run(send, asks=ASKS[:1], time=time)

    assert answers[0].reply is not None
    assert answers[0].retries == 3
    assert [s for s in time.slept if s != 0.2] == [0.5, 1.0, 9.0]


def test_the_latency_is_the_last_trys_and_the_total_holds_the_waits() -> None:
    took_s = iter([1.0, 2.0])
    time = FakeTime()

    async def send(ask: Ask) -> Reply:
        seconds = next(took_s)
        time.now_s += seconds
        if seconds == 1.0:
            raise AskFailed("rate_limited", "not now", retry_after_s=9.0)
        return Reply(text="yes")

    answers, _ = run(send, asks=ASKS[:1], time=time, stop=lambda: None)

    assert answers[0].latency_ms == pytest.approx(2000)
    assert answers[0].total_latency_ms >= 12_000


def test_what_fails_for_good_becomes_a_row_after_the_last_retry() -> None:
    async def send(ask: Ask) -> Reply:
        raise AskFailed("server_error", "HTTP 500")

    answers, _ = run(send, asks=ASKS[:1])

    assert answers[0].reply is None
    assert answers[0].failure is not None
    assert answers[0].retries == 4


@pytest.mark.parametrize("kind", ["timeout", "bad_request", "bad_reply"])
def test_what_would_fail_again_is_not_asked_again(kind: str) -> None:
    async def send(ask: Ask) -> Reply:
        raise AskFailed(kind, "no")

    answers, _ = run(send, asks=ASKS[:1])

    assert answers[0].retries == 0


def test_a_reason_to_stop_ends_it_and_cancels_what_is_outstanding() -> None:
    cancelled = 0
    reasons = iter([None, None, "server_died"])

    async def send(ask: Ask) -> Reply:
        nonlocal cancelled
        if ask is ASKS[0]:
            return Reply(text="yes")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled += 1
            raise
        raise AssertionError

    answers, reason = run(send, stop=lambda: next(reasons, "server_died"))

    assert reason == "server_died"
    assert [a.index for a in answers] == [0]
    assert cancelled == 4


def test_cancellation_reaches_the_caller_and_leaves_nothing_running() -> None:
    async def hang(ask: Ask) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError

    async def main() -> set[asyncio.Task[object]]:
        pace = Pace(max_concurrency=4, requests_per_second=None, clock=FakeTime().clock)
        task = asyncio.create_task(ask_all(ASKS, hang, pace, on_answer=ignore, stop=never))
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]

    assert asyncio.run(main()) == set()


def test_requests_per_second_spaces_the_starts() -> None:
    time = FakeTime()
    starts: list[float] = []

    async def send(ask: Ask) -> Reply:
        starts.append(time.now_s)
        return Reply(text="")

    run(send, asks=ASKS[:5], at_once=1, per_second=2.0, time=time)

    gaps = [later - sooner for sooner, later in itertools.pairwise(starts)]
    assert all(gap >= 0.5 - 1e-9 for gap in gaps)


def test_no_questions_are_no_trouble() -> None:
    assert run(yes, asks=[]) == ([], None)

"""Questions to an endpoint, never more than `max_concurrency` at once."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nightbench.accuracy.client import Ask, Send
from nightbench.accuracy.replies import AskFailed, Reply
from nightbench.accuracy.retries import MAX_RETRIES, retry_delay_s
from nightbench.errors import EndpointError

STOP_POLL_S = 0.2

# Failures that say the endpoint cannot answer anything, when nothing has been answered yet.
_HOPELESS = frozenset({"connect", "unauthorized", "not_found"})


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionResult:
    """One question's end: a reply, or what went wrong. `retries` counts what came before.

    `latency_ms` is the last try's; `total_latency_ms` began with the first, and holds the tries
    that failed and the waits between them.
    """

    index: int
    reply: Reply | None
    failure: AskFailed | None
    latency_ms: float
    total_latency_ms: float
    retries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How to ask: how many at once, how many a second, and by which clock (seconds)."""

    max_concurrency: int
    requests_per_second: float | None
    clock: Callable[[], float]
    max_retries: int = MAX_RETRIES
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random


async def ask_all(
    asks: Sequence[Ask],
    send: Send,
    pace: Pace,
    *,
    on_answer: Callable[[QuestionResult], Awaitable[None]],
    stop: Callable[[], str | None],
) -> str | None:
    """Ask all of `asks`; `on_answer` is awaited as each ends. Returns why it ended early, or None.

    Raises EndpointError when the endpoint refuses or is not there before it answered anything.
    Whatever ends this (a reason to stop, an error, cancellation) cancels what is outstanding.
    """
    queue = iter(range(len(asks)))
    asker = _Asker(asks, send, pace, on_answer)
    workers = [
        asyncio.create_task(asker.work(queue)) for _ in range(min(pace.max_concurrency, len(asks)))
    ]

    async def all_work() -> str | None:
        await asyncio.gather(*workers)
        return None

    ends = [asyncio.create_task(all_work()), asyncio.create_task(_reason(stop, pace.sleep))]
    try:
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        return next(end for end in ends if end in done).result()
    finally:
        await _cancel([*workers, *ends])


class _Asker:
    """What the workers of one `ask_all` share."""

    def __init__(
        self,
        asks: Sequence[Ask],
        send: Send,
        pace: Pace,
        on_answer: Callable[[QuestionResult], Awaitable[None]],
    ) -> None:
        self._asks = asks
        self._send = send
        self._pace = pace
        self._on_answer = on_answer
        self._answered_once = False
        self._next_start_s = 0.0

    async def work(self, queue: Iterator[int]) -> None:
        """Take questions until there are none: a worker that is free takes the next at once."""
        for index in queue:
            await self._on_answer(await self._ask(index))

    async def _ask(self, index: int) -> QuestionResult:
        retries = 0
        first_s: float | None = None
        while True:
            await self._wait_for_turn()
            started_s = self._pace.clock()
            first_s = started_s if first_s is None else first_s
            reply: Reply | None = None
            failure: AskFailed | None = None
            try:
                reply = await self._send(self._asks[index])
                self._answered_once = True
            except AskFailed as error:
                failure = error.bare()
                self._raise_if_hopeless(error)
            ended_s = self._pace.clock()
            delay_s = self._delay_s(failure, retries)
            if delay_s is None:
                return QuestionResult(
                    index=index,
                    reply=reply,
                    failure=failure,
                    latency_ms=(ended_s - started_s) * 1e3,
                    total_latency_ms=(ended_s - first_s) * 1e3,
                    retries=retries,
                )
            retries += 1
            await self._pace.sleep(delay_s)

    def _delay_s(self, failure: AskFailed | None, retries: int) -> float | None:
        if failure is None:
            return None
        return retry_delay_s(
            failure.kind,
            retries,
            failure.retry_after_s,
            self._pace.jitter(),
            max_retries=self._pace.max_retries,
        )

    def _raise_if_hopeless(self, failure: AskFailed) -> None:
        if self._answered_once or failure.kind not in _HOPELESS:
            return
        hints = {
            "connect": "Is the server running, and is the base URL right? --wait-s waits for it.",
            "unauthorized": "Check the API key (api_key_env, --api-key-env).",
            "not_found": "Check the model name and the base URL (most end in /v1).",
        }
        said = f"{failure.url}: {failure.message}" if failure.url else failure.message
        raise EndpointError(
            f"the endpoint does not respond: {said}", hint=hints[failure.kind]
        ) from None

    async def _wait_for_turn(self) -> None:
        if self._pace.requests_per_second is None:
            return
        now_s = self._pace.clock()
        start_s = max(now_s, self._next_start_s)
        self._next_start_s = start_s + 1 / self._pace.requests_per_second
        if start_s > now_s:
            await self._pace.sleep(start_s - now_s)


async def _reason(
    stop: Callable[[], str | None], sleep: Callable[[float], Awaitable[None]]
) -> str | None:
    while True:
        reason = stop()
        if reason is not None:
            return reason
        await sleep(STOP_POLL_S)


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def given(send: Send) -> AsyncIterator[Send]:
    """A sender somebody passed in, in the shape of one that is opened and closed."""
    yield send

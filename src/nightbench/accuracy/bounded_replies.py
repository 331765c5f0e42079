"""Replies as they are read from the wire: unpacked here, and no further than a limit."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

import httpx2

from nightbench.accuracy.replies import AskFailed
from nightbench.memory import available_bytes
from nightbench.untrusted.inflate import Inflater, can_inflate
from nightbench.untrusted.limits import AnswerLimits, TooLarge, megabytes

HELD_SHARE = 0.5  # of the memory that is left: what all replies on their way may take together

OnResponse = Callable[[httpx2.Response], Awaitable[None]]


def bounded(limits: AnswerLimits, *, free_bytes: int | None = None) -> OnResponse:
    """The hook of an httpx2 client that bounds each response before its body is read.

    A body beyond its limit raises AskFailed of kind too_large; of a refusal it is cut instead.
    `free_bytes` is the memory that is left, asked of the machine where it is not given.
    """
    free_bytes = available_bytes() if free_bytes is None else free_bytes
    shared = _Held(max(2 * limits.answer_bytes, round(HELD_SHARE * free_bytes)))

    async def on_response(response: httpx2.Response) -> None:
        refused = response.status_code >= 400
        most_bytes = limits.error_bytes if refused else limits.answer_bytes
        encoding = response.headers.pop("content-encoding", "identity")
        stream = cast("httpx2.AsyncByteStream", response.stream)
        response.stream = _BoundedStream(stream, encoding, most_bytes, shared, cut=refused)
        # Not by what the server says: Python has "encodings" that unpack.
        response.encoding = "utf-8"

    return on_response


class _Held:
    """Bytes of the replies that are on their way, all together."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.held_bytes = 0


class _BoundedStream(httpx2.AsyncByteStream):
    """The body of a response, unpacked, up to a limit."""

    def __init__(
        self,
        stream: httpx2.AsyncByteStream,
        encoding: str,
        most_bytes: int,
        shared: _Held,
        *,
        cut: bool,
    ) -> None:
        self._stream = stream
        self._encoding = encoding
        self._most_bytes = most_bytes
        self._shared = shared
        self._held_bytes = self._come_bytes = 0  # unpacked, and as it came
        self._cut = cut

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The parts. Raises AskFailed."""
        unpack = self._unpacking()
        async for part in self._stream:
            try:
                self._come_bytes += len(part)
                unpacked = unpack(part)
                self._hold(len(unpacked))
            except TooLarge as error:
                if self._cut:
                    return
                raise AskFailed("too_large", f"the reply is too large: {error}") from None
            except zlib.error as error:
                raise AskFailed("bad_reply", f"not {self._encoding[:40]}: {error}") from None
            yield unpacked

    async def aclose(self) -> None:
        """Let go of it: what was not read never is."""
        self._shared.held_bytes -= self._held_bytes
        self._held_bytes = 0
        await self._stream.aclose()

    def _unpacking(self) -> Callable[[bytes], bytes]:
        if self._encoding == "identity":
            return bytes
        if can_inflate(self._encoding):
            return Inflater(self._encoding, self._most_bytes).feed
        if self._cut:
            return lambda part: b""
        raise AskFailed(
            "bad_reply", f"it is encoded as {self._encoding[:40]}, which was not requested"
        )

    def _hold(self, size_bytes: int) -> None:
        self._held_bytes += size_bytes
        self._shared.held_bytes += size_bytes
        if max(self._held_bytes, self._come_bytes) > self._most_bytes:
            raise TooLarge(f"more than {megabytes(self._most_bytes)}")
        if self._shared.held_bytes > self._shared.most_bytes:
            raise TooLarge(f"all replies together exceed {megabytes(self._shared.most_bytes)}")

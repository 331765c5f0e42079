"""What the reference server answers, whole or in the way it was told to fail."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Step:
    """Bytes written at once. `gap_ms` until the next step; None: the server's itl."""

    data: bytes = b""
    tokens: int = 0
    chunks: int = 1
    gap_ms: float | None = None
    action: str = ""


@dataclass
class Answer:
    """The steps of one answer. `timed`: the first waits for the server's ttft."""

    steps: list[Step] = field(default_factory=list)
    timed: bool = True


def http_response(status: int, body: bytes, headers: str = "") -> bytes:
    """A whole response."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def sse_head(extra: str = "") -> bytes:
    """The head of a stream."""
    kind = "Content-Type: text/event-stream; charset=utf-8"
    return f"HTTP/1.1 200 OK\r\n{kind}\r\n{extra}Transfer-Encoding: chunked\r\n\r\n".encode()


def http_chunk(data: bytes) -> bytes:
    """`data` in the framing of chunked transfer."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(number: int, delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    """One event of a stream."""
    body = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "truth",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
    } | more
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


def usage(tokens: int) -> dict[str, Any]:
    """The usage member of the last event."""
    return {"prompt_tokens": 11, "completion_tokens": tokens, "total_tokens": 11 + tokens}


def closing(number: int, tokens: int) -> bytes:
    """The usage event and [DONE]."""
    return event(number, {}, choices=[], usage=usage(tokens)) + b"data: [DONE]\n\n"


END = b"0\r\n\r\n"
Build = Callable[[int, int], Answer]


def answer_for(fault: str, number: int, tokens: int, *, stream: bool, chat: bool = True) -> Answer:
    """The answer to request `number` under `fault`."""
    if fault in _WHOLE:
        return Answer([Step(_WHOLE[fault])], timed=False)
    if not stream:
        return _json_answer(number, tokens, chat=chat)
    return _STREAMS[fault](number, tokens)


def _json_answer(number: int, tokens: int, *, chat: bool) -> Answer:
    text = " tok" * tokens
    said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
    choice = {"index": 0, "finish_reason": "length"} | said
    body = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion" if chat else "text_completion",
        "created": 1_700_000_000,
        "model": "truth",
        "choices": [choice],
        "usage": usage(tokens),
    }
    return Answer([Step(http_response(200, json.dumps(body).encode()), tokens)])


def _steps(number: int, tokens: int, *, key: str = "content") -> list[Step]:
    """One token a write: the head goes with the first, the closing follows the last at once."""
    middle = Step(http_chunk(event(number, {key: " tok"})), 1)
    first = Step(sse_head() + middle.data, 1)
    last = Step(http_chunk(event(number, {key: " tok"}, "length")), 1, gap_ms=0)
    steps = [first, *[middle] * (tokens - 2), last] if tokens > 1 else [first]
    steps.append(Step(http_chunk(closing(number, tokens)) + END))
    return steps


def _plain(number: int, tokens: int) -> Answer:
    return Answer(_steps(number, tokens))


def _after(count: int, action: str) -> Build:
    def build(number: int, tokens: int) -> Answer:
        return Answer([*_steps(number, tokens)[:count], Step(action=action)])

    return build


def _silent(number: int, tokens: int) -> Answer:
    return Answer([Step(action="hang")])


def _replaced(build_event: Callable[[int], bytes], *, end: bool) -> Build:
    """The third token's event replaced by something else; `end`: the stream ends with it."""

    def build(number: int, tokens: int) -> Answer:
        steps = _steps(number, tokens)
        steps[2] = Step(http_chunk(build_event(number)))
        return Answer([*steps[:3], Step(END)] if end else steps)

    return build


def _junk(number: int) -> bytes:
    return b'data: {"id": "broken\n\n'


def _error(number: int) -> bytes:
    return b'data: {"error": {"message": "out of memory", "code": 500}}\n\n'


def _split(number: int, tokens: int) -> Answer:
    """Every event in two TCP writes, 0.2 ms apart."""
    steps = []
    for step in _steps(number, tokens):
        half = len(step.data) // 2
        steps.append(Step(step.data[:half], gap_ms=0.2))
        steps.append(Step(step.data[half:], step.tokens, gap_ms=step.gap_ms))
    return Answer(steps)


def _pairs(number: int, tokens: int) -> Answer:
    """Two events in every write."""
    steps = _steps(number, tokens)
    body = steps[:-1]
    joined = [
        Step(b"".join(s.data for s in body[i : i + 2]), len(body[i : i + 2]), len(body[i : i + 2]))
        for i in range(0, len(body), 2)
    ]
    return Answer([*joined, steps[-1]])


def _fat(number: int, tokens: int) -> Answer:
    """Four tokens in every event."""
    chunks = max(1, tokens // 4)
    steps = [Step(http_chunk(event(number, {"content": " tok" * 4})), 4) for _ in range(chunks)]
    steps[0] = Step(sse_head() + steps[0].data, 4)
    last = http_chunk(event(number, {}, "length") + closing(number, chunks * 4)) + END
    return Answer([*steps, Step(last)])


def _prefixed(first: Callable[[int], bytes]) -> Build:
    """Something that is no token comes before the first one, at once."""

    def build(number: int, tokens: int) -> Answer:
        steps = _steps(number, tokens)
        steps[0] = Step(http_chunk(event(number, {"content": " tok"})), 1)
        return Answer([Step(sse_head() + http_chunk(first(number))), *steps])

    return build


def _role(number: int) -> bytes:
    return event(number, {"role": "assistant", "content": ""})


def _no_usage(number: int, tokens: int) -> Answer:
    return Answer([*_steps(number, tokens)[:-1], Step(http_chunk(b"data: [DONE]\n\n") + END)])


def _no_done(number: int, tokens: int) -> Answer:
    last = event(number, {}, choices=[], usage=usage(tokens))
    return Answer([*_steps(number, tokens)[:-1], Step(http_chunk(last) + END)])


def _ends_early(number: int, tokens: int) -> Answer:
    """The response ends properly; the stream in it does not."""
    return Answer([*_steps(number, tokens)[: tokens // 2], Step(END)])


def _comments(number: int, tokens: int) -> Answer:
    steps = []
    for step in _steps(number, tokens):
        steps += [step, Step(http_chunk(b": keep-alive\n\n"), gap_ms=0.1)]
    steps.pop()
    return Answer(steps)


def _crlf(number: int, tokens: int) -> Answer:
    def converted(data: bytes) -> bytes:
        return http_chunk(data.replace(b"\n", b"\r\n"))

    one = converted(event(number, {"content": " tok"}))
    steps = [Step(sse_head() + one, 1), *[Step(one, 1)] * (tokens - 1)]
    last = converted(event(number, {}, "length") + closing(number, tokens))
    return Answer([*steps, Step(last + END)])


def _utf8_cut(number: int, tokens: int) -> Answer:
    """A character cut in the middle by two TCP writes."""
    data = http_chunk(event(number, {"content": " 词"}))
    cut = data.index("词".encode()) + 1
    steps = _steps(number, tokens)
    steps[1:2] = [Step(data[:cut], gap_ms=0.2), Step(data[cut:], 1)]
    return Answer(steps)


def _reasoning(key: str) -> Build:
    def build(number: int, tokens: int) -> Answer:
        thinking = _steps(number, tokens, key=key)
        half = tokens // 2
        return Answer([*thinking[:half], *_steps(number, tokens)[half:]])

    return build


def _tool_calls(number: int, tokens: int) -> Answer:
    call = {"index": 0, "function": {"arguments": "{}"}}
    steps = _steps(number, tokens)
    steps[1] = Step(http_chunk(event(number, {"tool_calls": [call]})), 1)
    return Answer(steps)


def _gzip(number: int, tokens: int) -> Answer:
    packer = zlib.compressobj(wbits=31)
    flush = zlib.Z_SYNC_FLUSH

    def packed(data: bytes) -> bytes:
        return http_chunk(packer.compress(data) + packer.flush(flush))

    token = event(number, {"content": " tok"})
    steps = [Step(packed(token), 1) for _ in range(tokens)]
    steps[0] = Step(sse_head("Content-Encoding: gzip\r\n") + steps[0].data, 1)
    last = http_chunk(
        packer.compress(event(number, {}, "length") + closing(number, tokens)) + packer.flush()
    )
    return Answer([*steps, Step(last + END)])


def _closes(number: int, tokens: int) -> Answer:
    """No length, no chunks: the end of the connection ends the answer. HTTP/1.0's way."""
    head = b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    one = event(number, {"content": " tok"})
    steps = [Step(head + one, 1), *[Step(one, 1)] * (tokens - 1)]
    last = event(number, {}, "length") + closing(number, tokens)
    return Answer([*steps, Step(last, gap_ms=0), Step(action="cut")])


_ERROR_BODY = b'{"error": {"message": "injected"}}'
_WHOLE = {
    "http_500": http_response(500, _ERROR_BODY),
    "http_400": http_response(400, _ERROR_BODY),
    "http_429": http_response(429, _ERROR_BODY, "Retry-After: 7\r\n"),
    "garbage": b"!!! this is not HTTP !!!\r\n\r\n",
    "empty": http_response(200, b""),
}
_STREAMS: dict[str, Build] = {
    "none": _plain,
    "cut": _after(3, "cut"),
    "reset": _after(3, "reset_connection"),
    "hang": _after(1, "hang"),
    "silent": _silent,
    "junk": _replaced(_junk, end=False),
    "error": _replaced(_error, end=True),
    "ends_early": _ends_early,
    "split": _split,
    "pairs": _pairs,
    "fat": _fat,
    "role": _prefixed(_role),
    "comment_first": _prefixed(lambda number: b": wait\n\n"),
    "no_usage": _no_usage,
    "no_done": _no_done,
    "comments": _comments,
    "crlf": _crlf,
    "utf8_cut": _utf8_cut,
    "reasoning_content": _reasoning("reasoning_content"),
    "reasoning": _reasoning("reasoning"),
    "tool_calls": _tool_calls,
    "gzip": _gzip,
    "closes": _closes,
}

_SOUND = (
    "split",
    "pairs",
    "fat",
    "role",
    "comment_first",
    "no_usage",
    "no_done",
    "comments",
    "crlf",
    "utf8_cut",
    "reasoning_content",
    "reasoning",
    "tool_calls",
    "gzip",
    "closes",
)

# What a client must make of each: None is success.
EXPECTED_KIND: dict[str, str | None] = {
    "none": None,
    "http_500": "http_5xx",
    "http_400": "http_4xx",
    "http_429": "rate_limited",
    "garbage": "malformed",
    "empty": "incomplete",
    "cut": "cut",
    "reset": "reset",
    "hang": "timeout_between_tokens",
    "silent": "timeout_first_token",
    "junk": "malformed",
    "error": "stream_error",
    "ends_early": "incomplete",
} | dict.fromkeys(_SOUND)

"""From the answer to a request to what came of it. Runs after the level has ended."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from nightbench.load.drive.rawlog import Cause
from nightbench.load.parse.http_response import Response, response_of
from nightbench.load.parse.raw_records import RawRequest
from nightbench.load.parse.stream_events import (
    QUOTED,
    StreamContent,
    Translate,
    read_answer,
    read_stream,
)
from nightbench.load.parse.token_counts import believed, checked_prompt
from nightbench.secrets.redaction import Redactor
from nightbench.untrusted.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KIND_OF_CAUSE = {
    Cause.RESET: "reset",
    Cause.MALFORMED_HTTP: "malformed",
    Cause.TIMEOUT_CONNECT: "timeout_connect",
    Cause.TIMEOUT_FIRST_TOKEN: "timeout_first_token",
    Cause.TIMEOUT_BETWEEN_TOKENS: "timeout_between_tokens",
    Cause.TIMEOUT_TOTAL: "timeout_total",
    Cause.CONNECT_REFUSED: "connect_refused",
    Cause.CONNECT_FAILED: "connect_failed",
    Cause.TLS_FAILED: "tls",
    Cause.STOPPED: "stopped",
    Cause.TOO_LARGE: "too_large",
}
_TOO_LATE = ("timeout_between_tokens", "timeout_total")
_LONG_ERROR = 500
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_BEGINS_A_STREAM = re.compile(rb"\s*(?:data|event|id|retry)?:")
CONTRADICTED = "usage_contradicted"
NOTHING_SECRET = Redactor()


@dataclass(slots=True)
class Outcome:
    """What a response was. `chunks[i]` is the read that output chunk i was complete with;
    `chunk_tokens[i]` how many tokens it held, where the server said so of each."""

    http_status: int | None = None
    error_kind: str | None = None
    error: str | None = None
    streamed: bool = False
    chunks: list[int] = field(default_factory=list)
    chunk_tokens: list[int] | None = None
    first_answer: int | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    said_tokens: int | None = None  # completion tokens by usage, where it is contradicted
    token_source: str = "chunks"  # noqa: S105
    foreign: int = 0  # events of other kinds, read over
    finish_reason: str | None = None


def outcome_of(
    raw: RawRequest,
    translate: Translate | None = None,
    *,
    redact: Redactor = NOTHING_SECRET,
    answer_bytes: int = DEFAULT_LIMITS.answer_bytes,
    most_tokens: float = math.inf,
) -> Outcome:
    """Classify one request and find its output chunks. Never raises for what a server sent.

    `translate` makes an event of OpenAI's shape of one that has another; `redact` takes out what a
    server repeats of our keys. `answer_bytes` is the most that an answer may unpack to, and
    `most_tokens` what the request allowed it.
    """
    outcome = Outcome()
    response = response_of(raw, answer_bytes)
    outcome.http_status = response.status
    kind, error = _transport_problem(raw, response)
    if outcome.http_status is not None and outcome.http_status >= 300:
        kind, error = _http_problem(outcome.http_status, response)
    elif _is_stream(response):
        outcome.streamed = True
        whole = response.complete or response.ends_with_connection
        whole = whole and kind != "too_large"
        content = read_stream(response.body, whole=whole, translate=translate)
        kind, error = _stream_problem(content, kind, error)
        _fill(outcome, content, response, most_tokens)
    elif response.body and kind is None:
        kind, error = _read_json(outcome, response, translate, most_tokens)
    elif kind is None and outcome.http_status is None:
        kind, error = "cut", "the server closed the connection without a response"
    elif kind is None:
        kind, error = "incomplete", "an empty body"
    outcome.error_kind = kind
    if kind and error:
        outcome.error = _writable(redact(error[:QUOTED])[:_LONG_ERROR])
    outcome.finish_reason = redact.optional(outcome.finish_reason)
    return outcome


def _is_stream(response: Response) -> bool:
    """By what it says of itself, else by how it begins."""
    kind = response.headers.get("content-type", "").strip().lower()
    return kind.startswith("text/event-stream") or bool(_BEGINS_A_STREAM.match(response.body))


def _transport_problem(raw: RawRequest, response: Response) -> tuple[str | None, str]:
    if response.broken is not None:
        return response.broken
    if raw.cause in (Cause.COMPLETE, Cause.OVER):
        return None, ""
    if raw.cause == Cause.EOF:
        if response.headers and response.ends_with_connection:
            return None, ""
        return "cut", "the server closed the connection before the response was whole"
    return _KIND_OF_CAUSE[raw.cause], raw.error


def _http_problem(status: int, response: Response) -> tuple[str, str]:
    """(the kind, the status and what the server says, or where it points to)."""
    words = response.body[: 4 * _LONG_ERROR].decode(errors="replace").strip()
    said = f"HTTP {status} {_PHRASES.get(status, '')}".rstrip()
    if status < 400:
        place = response.headers.get("location", "nowhere")
        return "http_3xx", f"{said}: redirect to {place}, not followed"
    wait = response.headers.get("retry-after")
    said += (f", Retry-After: {wait}" if wait else "") + (f": {words}" if words else "")
    return ("rate_limited" if status == 429 else f"http_{status // 100}xx"), said


def _stream_problem(content: StreamContent, kind: str | None, error: str) -> tuple[str | None, str]:
    """What the stream itself says outweighs how its connection ended, unless that had no end."""
    if kind == "too_large":
        return kind, error
    if content.problem is not None:
        return content.problem
    said_something = bool(content.ends or content.finish_reason)
    if content.done and (said_something or content.usage):
        return None, ""
    if kind in (None, *_TOO_LATE) and not content.done and content.finish_reason is not None:
        return None, ""  # that its response stayed open takes nothing from an answer
    return (kind, error) if kind is not None else _what_is_missing(content, said_something)


def _what_is_missing(content: StreamContent, said_something: bool) -> tuple[str, str]:
    if content.foreign and not said_something:
        return "malformed", f"not a completion: {content.foreign_said!r}"
    if content.done:
        return "incomplete", "[DONE] with nothing before it"
    return "incomplete", "the stream ended without [DONE] or a finish reason"


def _read_json(
    outcome: Outcome, response: Response, translate: Translate | None, most_tokens: float
) -> tuple[str | None, str]:
    content = read_answer(response.body, translate)
    if content.problem is None and not content.ends and content.finish_reason is None:
        return "malformed", f"not a completion: {response.body[:QUOTED]!r}"
    _fill(outcome, content, response, most_tokens)
    return content.problem or (None, "")


def _fill(outcome: Outcome, content: StreamContent, response: Response, most_tokens: float) -> None:
    outcome.chunks = response.reads_of(content.ends)
    outcome.first_answer = content.first_answer
    outcome.finish_reason = content.finish_reason and _writable(content.finish_reason)
    outcome.foreign = content.foreign
    _count_tokens(outcome, content, len(response.body), most_tokens)


def _count_tokens(
    outcome: Outcome, content: StreamContent, body_bytes: int, most_tokens: float
) -> None:
    """What usage says, where what arrived does not contradict it."""
    usage = content.usage
    said, reasoning = usage.get("completion_tokens"), usage.get("reasoning_tokens")
    chunks = len(content.ends)
    given = (said, chunks, body_bytes, reasoning, content.counted_at)
    columns = (np.array([value], dtype=np.float64) for value in given)
    tokens, wrong = believed(*columns, most_tokens=most_tokens)
    prompt = [
        np.array([usage.get(n)], dtype=np.float64) for n in ("prompt_tokens", "cached_tokens")
    ]
    outcome.prompt_tokens, outcome.cached_tokens = map(_whole, checked_prompt(*prompt))
    outcome.completion_tokens, outcome.reasoning_tokens = _whole(tokens), reasoning
    if said is not None:
        outcome.token_source = CONTRADICTED if wrong[0] else "usage"
        outcome.said_tokens = said if wrong[0] else None
    counts = content.completion_counts
    exact = tokens_by_counts(counts) if len(counts) == chunks and not wrong[0] else None
    if exact is not None:
        outcome.chunk_tokens, outcome.token_source = exact, "continuous_usage"


def _whole(value: NDArray[np.float64]) -> int | None:
    return None if np.isnan(value[0]) else int(value[0])


def _writable(text: str) -> str:
    """JSON may hold half a character (a lone surrogate), which no file takes."""
    return text.encode(errors="backslashreplace").decode()


def tokens_by_counts(counts: list[int]) -> list[int] | None:
    """Tokens per chunk from how many there were so far; None where the counts make no sense."""
    if len(counts) < 2:
        return None
    tokens = [after - before for before, after in pairwise([0, *counts])]
    return tokens if min(tokens) >= 0 else None

"""What servers answer in practice, and what of it is an error, a count, or nothing to us."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import numpy as np
import pytest

from nightbench.load.drive.rawlog import Cause
from nightbench.load.parse.interpret import Outcome, outcome_of
from nightbench.load.parse.raw_records import RawRequest
from nightbench.load.parse.stream_events import Translate
from nightbench.load.parse.token_counts import visible
from nightbench.untrusted.deltas import OUTPUT, output_of
from tests.unit.load.answers import DONE, END, HEAD, SAID, event, framed, usage

STOP = event({}, "stop")
PART = {"type": "text", "text": "hi"}
CALL = {"index": 0, "function": {"name": "look", "arguments": ""}}


def outcome(
    *events: bytes,
    head: bytes = HEAD,
    cause: int = Cause.COMPLETE,
    translate: Translate | None = None,
) -> Outcome:
    reads = [head, *map(framed, events), END]
    lengths = np.array(list(map(len, reads)), dtype=np.int64)
    return outcome_of(RawRequest(0, cause, lengths, b"".join(reads), ""), translate)


def whole(answer: dict[str, Any], status: bytes = b"200 OK", headers: bytes = b"") -> Outcome:
    body = json.dumps(answer).encode()
    reads = [b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, headers, len(body), body)]
    lengths = np.array(list(map(len, reads)), dtype=np.int64)
    return outcome_of(RawRequest(0, Cause.COMPLETE, lengths, b"".join(reads), ""))


@pytest.mark.parametrize(
    "said",
    [
        b'error: {"message": "out of memory"}\n\n',
        b"event: error\ndata: out of memory\n\n",
        b'event: error\ndata: {"message": "out of memory"}\n\n',
        b'event: error\ndata: ["out of memory"]\n\n',
        event({}, error={"message": "out of memory"}),
        event({}, error="out of memory", choices=[]),
        b'data: {"object": "error", "message": "out of memory"}\n\n',
        b'data: {"type": "error", "error": {"message": "out of memory"}}\n\n',
        b'data: {"message": "out of memory", "code": 500}\n\n',
        event({}, choices=[{"error": {"message": "out of memory"}}]),
        b'{"error": "out of memory"}\n\n',
    ],
)
@pytest.mark.parametrize("before", [[], SAID[:2]])
def test_an_error_is_an_error_wherever_it_stands(said: bytes, before: list[bytes]) -> None:
    for after in ([DONE], [STOP, usage(2), DONE]):
        found = outcome(*before, said, *after)
        assert found.error_kind == "stream_error"
        assert "out of memory" in (found.error or "")


@pytest.mark.parametrize("reason", ["error", "Error", "abort"])
def test_an_answer_that_the_server_gave_up_is_none(reason: str) -> None:
    assert outcome(*SAID, event({}, reason), usage(6), DONE).error_kind == "stream_error"
    choice = {"message": {"content": "a"}, "finish_reason": reason}
    assert whole({"choices": [choice]}).error_kind == "stream_error"


def test_done_alone_is_no_answer() -> None:
    assert outcome(DONE).error_kind == "incomplete"
    assert outcome(event({"role": "assistant", "content": ""}), DONE).error_kind == "incomplete"


def test_what_follows_done_is_no_part_of_the_answer() -> None:
    found = outcome(*SAID, STOP, usage(6), DONE, SAID[0], b"data: {broken\n\n")
    assert (found.error_kind, len(found.chunks)) == (None, 5)


@pytest.mark.parametrize(
    "foreign",
    [
        b'event: ping\ndata: {"type": "ping"}\n\n',
        b"event: ping\ndata:\n\n",
        b"event: heartbeat\ndata: still here\n\n",
        b"data:\n\n",
        b"data: {}\n\n",
        b"data: [1]\n\n",
        b'data: {"meta": {"queue": 3}}\n\n',
        b"id: 7\nretry: 100\n\n",
        b": comment\n\n",
    ],
)
def test_events_of_other_kinds_are_read_over(foreign: bytes) -> None:
    found = outcome(SAID[0], foreign, *SAID[1:], STOP, foreign, usage(6), DONE)
    assert (found.error_kind, len(found.chunks), found.completion_tokens) == (None, 5, 6)
    assert found.foreign == (2 if b"data" in foreign else 0)
    assert outcome(foreign).error_kind in ("malformed", "incomplete")


def test_a_broken_event_may_have_been_a_token_and_spoils_the_answer() -> None:
    assert outcome(*SAID, b'data: {"id": "bro\n\n', STOP, DONE).error_kind == "malformed"


@pytest.mark.parametrize(
    ("said", "is_answer"),
    [
        ({"content": "hi"}, True),
        ({"content": [PART]}, True),
        ({"content": None, "refusal": "no"}, True),
        ({"tool_calls": [CALL]}, True),
        ({"function_call": {"name": "look", "arguments": ""}}, True),
        ({"reasoning": "hm"}, False),
        ({"reasoning_content": "hm", "content": ""}, False),
        ({"reasoning_details": [{"type": "reasoning.text", "text": "hm"}], "content": ""}, False),
        ({"reasoning_details": [{"type": "reasoning.encrypted", "data": "aGk"}]}, False),
        ({"thinking": "hm"}, False),
        ({"thinking": {"content": "hm"}}, False),
    ],
)
def test_a_token_is_known_under_all_its_names(said: dict[str, Any], is_answer: bool) -> None:
    for key in ("delta", "message"):
        found = output_of({key: said})
        assert (found.is_any, found.is_answer) == (True, is_answer)
    assert OUTPUT.search(event(said))
    one = outcome(event(said), event(said), STOP, DONE)
    assert (len(one.chunks), one.first_answer) == (2, 0 if is_answer else None)
    assert whole({"choices": [{"message": said, "finish_reason": "stop"}]}).error_kind is None


@pytest.mark.parametrize(
    "said",
    [
        {"role": "assistant", "content": ""},
        {"content": []},
        {"content": [{"type": "text", "text": ""}]},
        {"reasoning_details": [{"type": "reasoning.text", "text": ""}], "content": None},
        {"tool_calls": [], "function_call": None, "refusal": None, "thinking": ""},
        {"tool_calls": [{"index": 0, "function": {"arguments": ""}}]},
        {},
    ],
)
def test_what_holds_no_text_is_no_token(said: dict[str, Any]) -> None:
    assert not output_of({"delta": said}).is_any
    assert not OUTPUT.search(event(said))


def test_a_persons_own_parser_yields_tokens() -> None:
    def translate(said: Any) -> Any:
        return {"choices": [{"delta": {"content": said["tok"]}, "finish_reason": said.get("end")}]}

    events = [b'data: {"tok": "a"}\n\n', b'data: {"tok": "", "end": "stop"}\n\n']
    found = outcome(*events, translate=translate)
    assert (found.error_kind, len(found.chunks)) == (None, 1)


EIGHT = [event({"content": f" {n}"}) for n in range(8)]
FIRST = {"prompt_tokens": 10, "completion_tokens": 3}


@pytest.mark.parametrize(
    ("events", "tokens", "source"),
    [
        ([*EIGHT, STOP, usage(8)], 8, "usage"),
        ([*EIGHT, STOP, usage(9)], 9, "usage"),
        ([*EIGHT, STOP, usage(24)], 24, "usage"),
        ([*EIGHT, STOP], 8, "chunks"),
        ([*EIGHT, STOP, usage(0)], 8, "usage_contradicted"),
        ([*EIGHT, STOP, usage(1)], 8, "usage_contradicted"),
        ([*EIGHT, STOP, usage(9_999_999)], 8, "usage_contradicted"),
        ([*EIGHT, STOP, usage(10**12)], 8, "chunks"),
        ([*EIGHT, STOP, usage(-1)], 8, "chunks"),
        ([*EIGHT, STOP, event({}, choices=[], usage={})], 8, "chunks"),
        ([*EIGHT, STOP, usage(8), event({}, choices=[], usage={})], 8, "usage"),
        ([*EIGHT, STOP, usage(8), event({}, choices=[], usage=None)], 8, "usage"),
        ([*EIGHT, STOP, usage(8), usage(0, prompt_tokens=0)], 8, "usage"),
        ([event({}, usage=FIRST), *EIGHT, STOP], 11, "usage_contradicted"),
        ([*EIGHT[:7], event({}, usage={"completion_tokens": 21}), EIGHT[7], STOP], 21, "usage"),
        ([STOP, usage(9_999_999)], 9_999_999, "usage_contradicted"),
    ],
)
def test_usage_is_held_against_what_arrived(events: list[bytes], tokens: int, source: str) -> None:
    found = outcome(*events, DONE)
    if not found.chunks:
        assert (found.completion_tokens, found.token_source) == (None, source)
        return
    assert (found.completion_tokens, found.token_source) == (tokens, source)
    assert (found.said_tokens is None) == (source != "usage_contradicted")


def test_a_prompt_of_no_tokens_and_more_cached_than_there_are_were_not_counted() -> None:
    found = outcome(*EIGHT, STOP, usage(8, prompt_tokens=0), DONE)
    assert found.prompt_tokens is None
    found = outcome(*EIGHT, usage(8, prompt_tokens_details={"cached_tokens": 8}), DONE)
    assert (found.prompt_tokens, found.cached_tokens) == (7, None)


def test_thoughts_that_were_counted_and_not_sent_are_in_no_chunk() -> None:
    tokens, reasoning = np.array([100.0, 100.0, 100.0]), np.array([80.0, 80.0, np.nan])
    assert visible(tokens, reasoning, np.array([0.0, 4.0, 0.0])).tolist() == [20, 100, 100]


@pytest.mark.parametrize(
    "head",
    [
        HEAD.replace(b"text/event-stream", b"Text/Event-Stream; Charset=UTF-8"),
        HEAD.replace(b"Content-Type: text/event-stream\r\n", b""),
        HEAD.replace(b"text/event-stream", b"application/json"),
        HEAD.replace(b"chunked", b"Chunked").replace(b"Transfer-Encoding", b"TRANSFER-ENCODING"),
    ],
)
def test_a_stream_is_known_in_any_case_and_by_how_it_begins(head: bytes) -> None:
    found = outcome(*SAID, STOP, usage(6), DONE, head=head)
    assert (found.error_kind, found.streamed, len(found.chunks)) == (None, True, 5)


def test_a_compression_that_nobody_asked_for_is_told() -> None:
    head = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: GZIP\r\n\r\n")
    assert outcome(gzip.compress(b"".join([*SAID, STOP, DONE])), head=head).error_kind is None
    found = outcome(b"\x1bxyz", head=head.replace(b"GZIP", b"br"))
    assert found.error_kind == "malformed"
    assert "br, which was not requested" in (found.error or "")


@pytest.mark.parametrize(
    ("status", "headers", "kind", "said"),
    [
        (b"307 X", b"Location: https://x/v1\r\n", "http_3xx", "HTTP 307 .* https://x/v1"),
        (b"404 X", b"", "http_4xx", "HTTP 404 Not Found: .*words"),
        (b"502 X", b"", "http_5xx", "HTTP 502 Bad Gateway: .*words"),
        (b"429 X", b"Retry-After: 7\r\n", "rate_limited", "HTTP 429 .*Retry-After: 7: .*words"),
    ],
)
def test_a_refusal_is_told_with_its_status_and_the_servers_words(
    status: bytes, headers: bytes, kind: str, said: str
) -> None:
    found = whole({"detail": "words"}, status, headers)
    assert found.error_kind == kind
    assert found.error is not None
    assert re.search(said, found.error)


EARLY = b"HTTP/1.1 103 Early Hints\r\nContent-Type: text/event-stream\r\nLink: x\r\n\r\n"


@pytest.mark.parametrize("cause", [Cause.EOF, Cause.RESET])
def test_an_interim_response_alone_is_no_answer(cause: int) -> None:
    lengths = np.array([len(EARLY)], dtype=np.int64)
    found = outcome_of(RawRequest(0, cause, lengths, EARLY, ""))
    assert found.error_kind in ("cut", "reset")
    assert (found.http_status, found.streamed) == (None, False)


def test_more_tokens_than_the_request_allowed_are_not_believed() -> None:
    hidden = {"completion_tokens_details": {"reasoning_tokens": 8_000_000}}
    reads = [HEAD, *map(framed, [*EIGHT, STOP, usage(8_000_008, **hidden), DONE]), END]
    lengths = np.array(list(map(len, reads)), dtype=np.int64)
    raw = RawRequest(0, Cause.COMPLETE, lengths, b"".join(reads), "")
    found = outcome_of(raw, most_tokens=64)
    assert (found.completion_tokens, found.token_source) == (8, "usage_contradicted")

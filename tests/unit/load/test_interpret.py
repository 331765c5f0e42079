"""What came of a request, from the bytes of its answer cut in every possible place."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightbench.load.drive.rawlog import Cause
from nightbench.load.parse.interpret import Outcome, outcome_of, tokens_by_counts
from nightbench.load.parse.raw_records import RawRequest
from tests.unit.load.answers import DONE, END, HEAD, RECORDED, ROLE, SAID, event, framed, usage


def raw(reads: list[bytes], cause: int = Cause.COMPLETE) -> RawRequest:
    lengths = np.array(list(map(len, reads)), dtype=np.int64)
    return RawRequest(0, cause, lengths, b"".join(reads), "")


def facts(outcome: Outcome) -> tuple[Any, ...]:
    return (
        outcome.error_kind,
        len(outcome.chunks),
        outcome.chunk_tokens,
        outcome.completion_tokens,
        outcome.prompt_tokens,
        outcome.finish_reason,
        outcome.http_status,
        outcome.first_answer,
    )


CLOSING = b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
WHOLE = (None, 5, None, 6, 7, "stop", 200, 0)


def test_a_whole_stream_is_a_success_with_its_tokens() -> None:
    assert facts(outcome_of(raw([RECORDED]))) == WHOLE


def test_every_byte_split_gives_the_same_result() -> None:
    for at in range(1, len(RECORDED)):
        assert facts(outcome_of(raw([RECORDED[:at], RECORDED[at:]]))) == WHOLE


@given(st.lists(st.integers(1, len(RECORDED) - 1), max_size=10))
def test_any_splits_give_the_same_result(cuts: list[int]) -> None:
    marks = [0, *sorted(set(cuts)), len(RECORDED)]
    reads = [RECORDED[a:b] for a, b in pairwise(marks)]
    assert facts(outcome_of(raw(reads))) == WHOLE


def as_it_came(reads: list[bytes]) -> tuple[Any, ...]:
    """What the parser that takes read after read says: the one for answers that are not whole."""
    outcome = outcome_of(raw(reads, Cause.EOF))
    return (*facts(outcome), outcome.chunks)


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("per_http_chunk", [1, 2, 100])
@given(data=st.data())
def test_parsing_at_once_and_read_by_read_agree(
    newline: bytes, per_http_chunk: int, data: st.DataObject
) -> None:
    """Texts, framing and cuts of every kind: the quick way to read is another way, not a guess."""
    text = st.text(max_size=3) | st.sampled_from([" tok", '"', "\\", "\n", '"},', "data: ", "\x1f"])
    said = [event({"content": t}) for t in data.draw(st.lists(text, max_size=30))]
    events = [ROLE, *SAID[:1], *said, event({}, "stop"), usage(6), DONE]
    parts = [
        b"".join(events[i : i + per_http_chunk]) for i in range(0, len(events), per_http_chunk)
    ]
    stream = HEAD + b"".join(framed(part.replace(b"\n", newline)) for part in parts) + END
    cuts = data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=20))
    reads = [stream[a:b] for a, b in pairwise([0, *sorted(cuts), len(stream)])]
    at_once = outcome_of(raw(reads))
    assert (*facts(at_once), at_once.chunks) == as_it_came(reads)


def test_chunk_extensions_trailers_and_interim_responses_move_nothing() -> None:
    first, second = SAID[0], SAID[1]
    reads = [
        b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD,
        b"%x;ext=1\r\n%b\r\n" % (len(first), first),
        b"%04x\r\n%b\r\n" % (len(second), second),
        framed(DONE) + b"0\r\nTrailer: x\r\n\r\n",
    ]
    assert outcome_of(raw(reads)).chunks == [1, 2]


def test_a_chunk_belongs_to_the_read_that_completes_it() -> None:
    first, second = framed(SAID[0]), framed(SAID[1])
    reads = [HEAD + framed(ROLE), first[:10], first[10:] + second, framed(DONE) + END]
    assert outcome_of(raw(reads)).chunks == [2, 2]


def test_events_that_look_alike_but_are_not_are_parsed() -> None:
    tricky = [
        event({"content": " a"}),
        event({"content": " b"}),
        event({"content": '"}}],"error":"no"'}),
        event({"content": ""}),
    ]
    outcome = outcome_of(raw([HEAD, *map(framed, [*tricky, event({}, "stop")]), END]))
    assert (outcome.error_kind, outcome.chunks) == (None, [1, 2, 3])


def test_an_error_between_events_that_are_alike_is_found() -> None:
    alike = [event({"content": f" {letter}"}) for letter in "abcd"]
    alike.insert(2, b'data: {"error": {"message": "out of memory"}}\n\n')
    outcome = outcome_of(raw([HEAD, *map(framed, [*alike, event({}, "stop"), DONE]), END]))
    assert (outcome.error_kind, outcome.error) == ("stream_error", "out of memory")
    assert outcome.chunks == [1, 2, 4, 5]


def test_text_that_is_no_utf_8_is_malformed_wherever_it_stands() -> None:
    alike = [event({"content": f" {letter}"}) for letter in "abc"]
    alike.insert(2, event({"content": " ?"}).replace(b"?", b"\xe4\xb8"))
    outcome = outcome_of(raw([HEAD, *map(framed, [*alike, DONE]), END]))
    assert outcome.error_kind == "malformed"


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_is_output_and_not_answer(key: str) -> None:
    parts = [event({key: "hm"}), event({key: "so"}), event({"content": "42"}, "stop"), DONE]
    outcome = outcome_of(raw([HEAD, *map(framed, parts), END]))
    assert (len(outcome.chunks), outcome.first_answer) == (3, 2)


def test_continuous_usage_says_how_many_tokens_a_chunk_held() -> None:
    parts = [
        event({"content": "ab"}, usage={"completion_tokens": 2, "prompt_tokens": 7}),
        event({"content": "cde"}, "stop", usage={"completion_tokens": 5, "prompt_tokens": 7}),
    ]
    outcome = outcome_of(raw([HEAD, *map(framed, [*parts, DONE]), END]))
    assert (outcome.chunk_tokens, outcome.token_source) == ([2, 3], "continuous_usage")


def test_without_usage_chunks_are_counted_and_the_row_says_so() -> None:
    outcome = outcome_of(raw([HEAD, *map(framed, [*SAID, event({}, "stop"), DONE]), END]))
    assert (outcome.completion_tokens, outcome.token_source) == (5, "chunks")


def test_cached_and_reasoning_tokens_come_from_usage() -> None:
    details = {
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    parts = [SAID[0], event({}, "stop"), usage(1, **details), DONE]
    outcome = outcome_of(raw([HEAD, *map(framed, parts), END]))
    assert (outcome.cached_tokens, outcome.reasoning_tokens) == (3, 2)


@pytest.mark.parametrize("count", [-1, 10**10, 10**20, 5.5, True, "5"])
def test_a_count_that_is_none_is_not_believed(count: object) -> None:
    said = event({}, choices=[], usage={"prompt_tokens": count, "completion_tokens": 5})
    outcome = outcome_of(raw([HEAD, *map(framed, [SAID[0], said, DONE]), END]))
    assert (outcome.prompt_tokens, outcome.completion_tokens) == (None, 5)


def test_a_finish_reason_that_is_no_text_is_none() -> None:
    odd = event({"content": "a"}).replace(b'"finish_reason": null', b'"finish_reason": {"a": 5}')
    assert outcome_of(raw([HEAD, *map(framed, [odd, DONE]), END])).finish_reason is None


def test_a_gzip_stream_is_read() -> None:
    head = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
    packed = gzip.compress(b"".join([*SAID, event({}, "stop"), DONE]))
    outcome = outcome_of(raw([head, framed(packed[:20]), framed(packed[20:]) + END]))
    assert (outcome.error_kind, len(outcome.chunks)) == (None, 5)


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"GZIP"])
def test_an_answer_that_unpacks_to_more_than_may_be_is_too_large(encoding: bytes) -> None:
    head = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: %b\r\n\r\n" % encoding)
    packed = gzip.compress(b"".join([*SAID, b": \n" * 300_000, DONE]))
    whole = raw([head + framed(packed) + END])
    assert outcome_of(whole, answer_bytes=100_000).error_kind == "too_large"
    assert outcome_of(whole, answer_bytes=10_000_000).error_kind is None


def test_an_event_of_millions_of_values_is_too_large() -> None:
    many = b'data: {"choices":[],"x":[' + b"{}," * 2_000_000 + b"{}]}\n\n"
    outcome = outcome_of(raw([HEAD + framed(SAID[0]) + framed(many) + framed(DONE) + END]))
    assert outcome.error_kind == "too_large"


@pytest.mark.parametrize("line", [b":\n", b"data:\n", b": \r\n", b"\r:"])
def test_an_event_of_millions_of_lines_is_too_large(line: bytes) -> None:
    endless = line * 1_500_000 + b"\n"
    outcome = outcome_of(raw([HEAD + framed(SAID[0]) + framed(endless) + framed(DONE) + END]))
    assert outcome.error_kind == "too_large"


@pytest.mark.parametrize("empty", [b"\n", b"\r\n", b"\r"])
def test_millions_of_empty_lines_are_nothing(empty: bytes) -> None:
    parts = [SAID[0], empty * 3_000_000, event({}, "stop"), DONE]
    outcome = outcome_of(raw([HEAD, *map(framed, parts), END]))
    assert (outcome.error_kind, len(outcome.chunks)) == (None, 1)


EARLY = b"HTTP/1.1 103 Early Hints\r\nContent-Type: text/plain\r\nX: y\r\n\r\n"


def test_interim_responses_are_not_the_answer() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" + EARLY
    assert facts(outcome_of(raw([interim + RECORDED]))) == WHOLE
    for at in range(1, len(interim) + 200):
        whole = interim + RECORDED
        assert facts(outcome_of(raw([whole[:at], whole[at:]]))) == WHOLE


def test_what_follows_an_answer_is_not_part_of_it() -> None:
    another = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
    assert facts(outcome_of(raw([RECORDED + another]))) == WHOLE


def test_broken_gzip_is_malformed_and_does_not_raise() -> None:
    head = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
    assert outcome_of(raw([head + framed(b"not gzip at all")])).error_kind == "malformed"


@pytest.mark.parametrize(
    ("reads", "cause", "kind"),
    [
        ([], Cause.CONNECT_REFUSED, "connect_refused"),
        ([], Cause.EOF, "cut"),
        ([HEAD + framed(SAID[0])], Cause.EOF, "cut"),
        ([HEAD + framed(SAID[0])], Cause.RESET, "reset"),
        ([HEAD], Cause.TIMEOUT_FIRST_TOKEN, "timeout_first_token"),
        ([HEAD + framed(SAID[0])], Cause.STOPPED, "stopped"),
        ([HEAD + framed(SAID[0])], Cause.TOO_LARGE, "too_large"),
        ([HEAD + framed(SAID[0] + DONE)], Cause.TOO_LARGE, "too_large"),
        ([CLOSING + SAID[0][:-9]], Cause.TOO_LARGE, "too_large"),
        ([b"HTTP/1.1 200 OK\r\nX: y\r\n"], Cause.TOO_LARGE, "too_large"),
        ([b"HTTP/1.1 503 No\r\n\r\nmuch to say"], Cause.TOO_LARGE, "http_5xx"),
        ([HEAD + framed(b"data: [1]\n\n") + END], Cause.COMPLETE, "malformed"),
        ([HEAD + framed(b"data: {}\n\n") + END], Cause.COMPLETE, "malformed"),
        ([HEAD + framed(b'data: {"error":"x"}\n\n') + END], Cause.COMPLETE, "stream_error"),
        ([HEAD + framed(SAID[0]) + END], Cause.COMPLETE, "incomplete"),
        ([b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"], Cause.COMPLETE, "http_5xx"),
        ([b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"], Cause.COMPLETE, "http_4xx"),
        ([b"HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n"], Cause.COMPLETE, "rate_limited"),
    ],
)
def test_each_failure_has_its_kind(reads: list[bytes], cause: int, kind: str) -> None:
    assert outcome_of(raw(reads, cause)).error_kind == kind


def test_a_connection_lost_after_done_lost_nothing() -> None:
    reads = [HEAD + framed(SAID[0]) + framed(DONE)]
    assert outcome_of(raw(reads, Cause.RESET)).error_kind is None


def test_a_whole_json_answer_has_no_time_to_first_token() -> None:
    choice = {"message": {"content": "hello"}, "finish_reason": "stop"}
    body = json.dumps({"choices": [choice], "usage": {"completion_tokens": 9}}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    outcome = outcome_of(raw([head + body]))
    assert (outcome.streamed, outcome.completion_tokens, outcome.error_kind) == (False, 9, None)


def test_counts_that_go_backwards_are_not_believed() -> None:
    assert tokens_by_counts([2, 1, 3]) is None
    assert tokens_by_counts([1]) is None

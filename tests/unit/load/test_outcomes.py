"""Many answers at once: what C takes apart comes out as Python reads it, the rest is left to it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightbench.load.drive.rawlog import Cause
from nightbench.load.native.answers import UNUSUAL, AnswerReader, answer_reader
from nightbench.load.parse.interpret_batch import (
    NUMBERS,
    TEXTS,
    OutcomeArrays,
    outcomes_of,
    spread_tokens,
)
from nightbench.secrets.redaction import Redactor
from tests.unit.load.answers import DONE, END, HEAD, RECORDED, ROLE, SAID, event, framed, usage
from tests.unit.load.by_column import raws_of

READER = answer_reader()
in_c = pytest.mark.skipif(READER is None, reason="there is no C compiler")
STOP = event({}, "stop")
DETAILS = {
    "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": None},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


def choice(**fields: Any) -> bytes:
    return event({}, choices=[fields])


# Events as servers send them, and as none should.
USUAL = [
    *[ROLE, *SAID, STOP, usage(6), usage(6, **DETAILS), event({"content": "三\u20ac𝄞"})],
    event({"content": "a", "tool_calls": [], "function_call": None, "reasoning_content": None}),
    event({"reasoning_content": "hm"}),
    event({"reasoning": "hm", "content": None}),
    event({"content": "x"}, "length", usage=None, created=1_763_000_000, logprobs=[-0.5e-3, 1.5]),
    choice(text=" completion", index=0, finish_reason=None, logprobs=None),
    choice(text="", finish_reason="length"),
    event({"content": 'quoted " and \\ and \n and \u2028'}, error=None),
    event({}, choices=[], usage={"prompt_tokens": 7, "completion_tokens": None}),
    b'data: {"choices" : [ {"delta":{"content": "a" } } ] }\n\n',
    b'data:  {"choices":[],"usage":{"completion_tokens":0}}\n\n'.replace(b":  {", b": {"),
    b'data: {"choices":[{"delta":{"content":"\\ud83d\\ude00 \\u00e9"}}]}\n\n',
]
UNUSUAL_EVENTS = [
    DONE,  # what follows is no part of the answer
    event({"content": "a"}, "Error"),
    event({"content": "a"}, "abort"),
    event({}, choices=[{"delta": {"content": "a"}, "error": {"message": "no"}}]),
    event({"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}),
    event({"reasoning_details": [], "content": "a", "thinking": "", "refusal": None}),
    event({"thinking": "hm"}),
    event({"refusal": "no"}),
    event({"content": [{"type": "text", "text": "a"}]}),
    event({"content": [{"type": "text", "text": ""}]}),
    event({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]}),
    event({}, choices=[], usage={"prompt_tokens": 0, "completion_tokens": 0}),
    event({}, choices=[], usage={}),
    event({}, choices=[], usage={"prompt_tokens": 3, "completion_tokens": 9_999_999}),
    event({}, choices=[], usage={"prompt_tokens": 3, "completion_tokens": 1}),
    event({}, choices=[], usage=DETAILS | {"prompt_tokens": 1, "completion_tokens": 900}),
    b"event: ping\ndata: {}\n\n",
    b"event: error\ndata: no\n\n",
    b'error: {"message": "no"}\n\n',
    b'data: {"object": "error", "message": "no", "usage": {"completion_tokens": 1}}\n\n',
    event({"content": "a"}, usage={"completion_tokens": 2}),
    event({"tool_calls": [{"index": 0}]}),
    event({"function_call": {"name": "f"}}),
    event({"content": ["a"]}),
    event({"content": 5}),
    event({}, choices=[{"delta": {"content": "a"}}, {"delta": {"content": "b"}}]),
    event({}, choices=[None]),
    event({}, choices={}),
    event({}, choices=None, usage={"completion_tokens": 3}),
    event({}, choices=None),
    choice(message={"content": "a"}),
    choice(delta=None, text="a"),
    choice(delta="a"),
    choice(delta={"content": "a"}, finish_reason="a reason that is longer than others"),
    choice(delta={}, finish_reason='sto"p'),
    choice(delta={}, finish_reason=5),
    event({}, usage={"completion_tokens": 3.0}),
    event({}, choices=[], usage={"completion_tokens": True}),
    event({}, choices=[], usage={"completion_tokens": -3}),
    event({}, choices=[], usage={"completion_tokens": 10**20}),
    event({}, choices=[], usage={"completion_tokens": 5, "prompt_tokens_details": 5}),
    event({}, error={"message": "no"}),
    event({}, error=""),
    event({"content": "nested"}, deep=json.loads("[" * 40 + "]" * 40)),
    *[b"\n", b": a comment\n\n", b"data: \n\n", b"data: []\n\n", b"data: {}\n\n", b'data: "a"\n\n'],
    b"event: x\ndata: " + SAID[0][6:],
    SAID[0].replace(b"\n", b"\r\n"),
    SAID[0].replace(b"data: ", b"data:"),
    SAID[0].replace(b"}\n", b"} \n"),
    SAID[0].replace(b'"choices"', b'"choice\\u0073"'),
    SAID[0].replace(b"}\n", b"}\n data: {}\n"),
    b'data: {"choices":[{"delta":{"content":"a"}}],"choices":[]}\n\n',
    b'data: {"choices":[{"delta":{"content":"a","content":""}}]}\n\n',
    b'data: {"choices":[],"usage":{"completion_tokens":1,"completion_tokens":2}}\n\n',
    b'data: {"choices":[],"n":NaN,"usage":null}\n\n',
    b'data: {"choices":[],"n":01,"usage":null}\n\n',
    b'data: {"choices":[],"n":1.,"usage":null}\n\n',
    b'data: {"choices":[],}\n\n',
    b'data: {"choices":[,]}\n\n',
    b'data: {"choices":[{"delta":{"content":"\xe4\xb8"}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"\xed\xa0\x80"}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"\\x"}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"\\ud800"}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"a\tb"}}]}\n\n',
    b"data: [DONE]\r\n\r\n",
    b'data: {"error":{"message":"half a character: \\ud800"}}\n\n',
    b'data: {"choices":[{"delta":{},"finish_reason":"\\ud800"}]}\n\n',
    b'data: {"choices":[{"text":"\\u0061","a":"stop"}]}\n\n'
    b'data: {"choices":[{"text":"\\u0061","finish_reason":"stop"}]}\n\n',
    2 * (b"data: " + '{"choices":[{"text":"a"}],"k":"\u6122\u4e22"}'.encode("utf-16-le") + b"\n\n"),
    event({}, choices=[], usage={"completion_tokens": 900_000_000}),
]


HUGE = [
    b"data: " + b"[" * 100_000 + b"\n\n",
    b'data: {"choices":[],"x":' + b"[" * 3000 + b"]" * 3000 + b"}\n\n",
    b'data: {"error":{"deep":' + b"[" * 900 + b"]" * 900 + b"}}\n\n",
    b'data: {"choices":[],"x":[' + b"{}," * 2_000_000 + b"{}]}\n\n",
    event({"content": "a" * 1_500_000}),
    event({"content": "," * 2_500_000}),
    b'data: {"choices":[],"usage":{"completion_tokens":' + b"9" * 100_000 + b"}}\n\n",
]


def answer(*events: bytes, head: bytes = HEAD, end: bytes = END) -> bytes:
    return head + b"".join(map(framed, events)) + end


def facts(found: OutcomeArrays) -> tuple[Any, ...]:
    numbers = {name: [str(value) for value in found[name].tolist()] for name in NUMBERS}
    chunks = (found.chunk_counts, found.chunk_reads, found.chunk_tokens)
    texts = [found.texts[name] for name in TEXTS]
    return (numbers, texts, found.streamed.tolist(), *(values.tolist() for values in chunks))


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("answers") / "log.raw"


@pytest.fixture(scope="module")
def reader() -> AnswerReader:
    assert READER is not None
    return READER


def is_usual(stream: bytes, log: Path, reader: AnswerReader) -> bool:
    found, _ = reader.read(raws_of([[stream]], log))
    return bool(found["chunks"][0] != UNUSUAL)


@in_c
@pytest.mark.parametrize("said", USUAL)
def test_what_servers_usually_say_is_read_in_c(
    said: bytes, log: Path, reader: AnswerReader
) -> None:
    stream = answer(ROLE, SAID[0], said, SAID[1], STOP, usage(6), DONE)
    assert is_usual(stream, log, reader)
    raws = raws_of([[stream]], log)
    assert facts(outcomes_of(raws, reader)) == facts(outcomes_of(raws, None))


@in_c
@pytest.mark.parametrize(("name", "tokens"), [("vllm_chat", 6), ("vllm_completions", 4)])
def test_what_vllm_has_answered_is_read_in_c(
    name: str, tokens: int, log: Path, reader: AnswerReader
) -> None:
    """Bytes of a real vLLM 0.32."""
    stream = Path(__file__).with_name("recorded").joinpath(f"{name}.http").read_bytes()
    assert is_usual(stream, log, reader)
    raws = raws_of([[stream]], log)
    found = outcomes_of(raws, reader)
    assert facts(found) == facts(outcomes_of(raws, None))
    assert found["completion_tokens"].tolist() == [tokens]
    assert found.chunk_counts.tolist() == [tokens]


@in_c
@pytest.mark.parametrize("said", UNUSUAL_EVENTS + HUGE, ids=lambda said: str(len(said)))
def test_what_none_should_say_comes_out_as_python_reads_it(
    said: bytes, log: Path, reader: AnswerReader
) -> None:
    stream = answer(ROLE, SAID[0], said, SAID[1], STOP, usage(6), DONE)
    raws = raws_of([[stream]], log)
    found = outcomes_of(raws, reader)
    assert facts(found) == facts(outcomes_of(raws, None))
    for texts in found.texts.values():
        b"".join(text.encode() for text in texts if text)  # a file takes it


@in_c
@pytest.mark.parametrize(
    "another",
    [
        lambda whole: whole.replace(b"HTTP/1.1 200 OK", b"HTTP/1.1 201 Created"),
        lambda whole: whole.replace(b"HTTP/1.1", b"HTTP/1.0"),
        lambda whole: whole.replace(b"text/event-stream", b"application/json"),
        lambda whole: whole.replace(b"chunked", b"identity"),
        lambda whole: whole.replace(b"Transfer", b"Content-Encoding: gzip\r\nTransfer"),
        lambda whole: whole.replace(b"Transfer", b"Content-Length: 5\r\nTransfer"),
        lambda whole: whole.replace(b"Transfer", b"Upgrade: h2c\r\nTransfer"),
        lambda whole: whole.replace(b"Content-Type:", b"Content-Type : "),
        lambda whole: whole.replace(b"Content-Type:", b"X: y\r\n z\r\nContent-Type:"),
        lambda whole: whole + b"more",
        lambda whole: whole[:-1],
        lambda whole: whole[: -len(END)] + b"0\r\nTrailer: x\r\n\r\n",
        lambda whole: whole.replace(b"\r\ndata", b";extension=1\r\ndata", 1),
        lambda whole: b"HTTP/1.1 100 Continue\r\n\r\n" + whole,
        lambda whole: (
            b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + whole
        ),
        lambda whole: b"",
        lambda whole: HEAD + framed(SAID[0]) + END,
        lambda whole: HEAD + framed(SAID[0] + STOP[:-1]) + END,
        lambda whole: (
            HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
            + framed(gzip.compress(b"".join([*SAID, DONE])))
            + END
        ),
    ],
)
def test_http_of_another_kind_is_left_to_python(
    another: Callable[[bytes], bytes], log: Path, reader: AnswerReader
) -> None:
    raws = raws_of([[another(RECORDED)]], log)
    assert reader.read(raws)[0]["chunks"].tolist() == [UNUSUAL]
    assert facts(outcomes_of(raws, reader)) == facts(outcomes_of(raws, None))


@pytest.mark.timeout(60)  # searched anew to the end for each of them, it takes minutes
def test_as_many_events_as_a_broken_server_likes_are_read_in_time(log: Path) -> None:
    events = 300_000
    raws = raws_of([[answer(b"data: a\r\r" * events)]], log)
    assert outcomes_of(raws, READER).texts["error_kind"] == ["malformed"]


@in_c
@pytest.mark.parametrize(("events", "kind"), [(999_990, None), (1_000_001, "too_large")])
def test_c_and_python_have_the_same_limit_of_events(
    events: int, kind: str | None, log: Path, reader: AnswerReader
) -> None:
    one = b'data: {"choices":[{"text":"a"}]}\n\n'
    stream = HEAD + framed(one * events + STOP + DONE) + END
    assert is_usual(stream, log, reader) == (kind is None)
    raws = raws_of([[stream]], log)
    for found in (outcomes_of(raws, reader), outcomes_of(raws, None)):
        assert found.texts["error_kind"] == [kind]


@in_c
def test_only_answers_that_ended_well_are_read_in_c(log: Path, reader: AnswerReader) -> None:
    raws = raws_of([[RECORDED]], log, Cause.EOF)
    assert reader.read(raws)[0]["chunks"].tolist() == [UNUSUAL]


@in_c
@pytest.mark.parametrize("stream", [RECORDED, answer(*USUAL)], ids=["recorded", "usual"])
def test_every_byte_split_gives_the_same_chunks(
    stream: bytes, log: Path, reader: AnswerReader
) -> None:
    raws = raws_of([[stream[:at], stream[at:]] for at in range(1, len(stream))], log)
    answers, _ = reader.read(raws)
    assert UNUSUAL not in answers["chunks"]
    assert facts(outcomes_of(raws, reader)) == facts(outcomes_of(raws, None))


@in_c
def test_events_alike_say_the_same_whatever_came_between(log: Path, reader: AnswerReader) -> None:
    """An event like one before it is not parsed again: what it says must not depend on it."""
    long = [event({"content": text}, "length") for text in "ab"]
    counted = [event({"content": text}, usage={"prompt_tokens": 5}) for text in "ab"]
    thought = [event({"reasoning": text}) for text in "ab"]
    streams = [
        answer(long[0], STOP, long[1], DONE),
        answer(counted[0], usage(6), counted[1], DONE),
        answer(thought[0], SAID[0], thought[1], SAID[1], event({"content": ""}), SAID[2], DONE),
        answer(SAID[0], SAID[0][:-2] + b"}\n\n", DONE),
        answer(SAID[0], SAID[1], end=framed(SAID[0][:30]) + END),
    ]
    raws = raws_of([[stream] for stream in streams], log)
    assert (reader.read(raws)[0]["chunks"] != UNUSUAL).tolist() == [True, True, True, False, False]
    assert facts(outcomes_of(raws, reader)) == facts(outcomes_of(raws, None))


def cut(stream: bytes, places: set[int]) -> list[bytes]:
    marks = [0, *sorted(place % len(stream) for place in places), len(stream)]
    return [stream[a:b] for a, b in pairwise(marks) if b > a]


EVENTS = st.lists(st.sampled_from(USUAL) | st.sampled_from(USUAL + UNUSUAL_EVENTS), max_size=12)
TEXT_EVENTS = st.lists(st.text(max_size=4).map(lambda text: event({"content": text})), max_size=8)
SPOILT = st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=2)), max_size=2)
ANSWERS = st.tuples(EVENTS | TEXT_EVENTS, st.integers(1, 5), SPOILT, st.sets(st.integers(0, 10**6)))


def spoil(stream: bytes, spoilt: list[tuple[int, bytes]]) -> bytes:
    for place, instead in spoilt:
        at = place % len(stream)
        stream = stream[:at] + instead + stream[at + 1 :]
    return stream


@in_c
@given(drawn=st.lists(ANSWERS, min_size=1, max_size=6))
def test_whatever_a_server_sends_c_and_python_agree(
    drawn: list[tuple[list[bytes], int, list[tuple[int, bytes]], set[int]]],
    log: Path,
    reader: AnswerReader,
) -> None:
    """Events of every kind, framed, cut and spoilt in every way, many answers at once."""
    streams = []
    for said, together, spoilt, places in drawn:
        events = [*said, STOP, usage(6), DONE]
        parts = [b"".join(events[i : i + together]) for i in range(0, len(events), together)]
        streams.append(cut(spoil(answer(*parts), spoilt), places))
    raws = raws_of(streams, log)
    assert facts(outcomes_of(raws, reader)) == facts(outcomes_of(raws, None))


def test_answers_of_another_shape_are_read_by_the_persons_own_parser(log: Path) -> None:
    raws = raws_of([[answer(b'data: {"said": "a"}\n\n', DONE)]], log)

    def translate(said: Any) -> Any:
        return {"choices": [{"text": said["said"]}]}

    assert outcomes_of(raws, READER, translate).chunk_counts.tolist() == [1]


def test_an_answer_that_was_not_streamed_is_one_chunk_of_all_its_tokens(log: Path) -> None:
    said = {"choices": [{"message": {"content": "a"}}], "usage": {"completion_tokens": 9}}
    body = json.dumps(said).encode()
    raws = raws_of([[b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body]], log)
    found = outcomes_of(raws, READER)
    assert (found.chunk_tokens.tolist(), found.streamed.tolist()) == ([9], [False])


def test_what_the_server_counted_of_each_chunk_is_kept(log: Path) -> None:
    parts = [event({"content": "ab"}, usage={"completion_tokens": n}) for n in (2, 5, 6)]
    raws = raws_of([[answer(*SAID, STOP, DONE)], [answer(*parts, STOP, DONE)]], log)
    found = outcomes_of(raws, READER)
    assert found.chunk_tokens.tolist() == [1, 1, 1, 1, 1, 2, 3, 1]
    assert found.texts["token_source"] == ["chunks", "continuous_usage"]


def test_tokens_are_spread_over_chunks() -> None:
    spread = {
        (4, None): [1, 1, 1, 1],
        (4, 4): [1, 1, 1, 1],
        (4, 5): [1, 1, 1, 1],  # the fifth ends the sequence and has no text
        (4, 20): [5, 5, 5, 5],
        (3, 7): [2, 2, 3],
        (0, 5): [],
        (3, 0): [0, 0, 0],
    }
    for (chunks, tokens), each in spread.items():
        known = np.array([tokens], dtype=np.float64)
        assert spread_tokens(np.array([chunks]), known).tolist() == each
    counts, tokens = zip(*spread, strict=True)
    all_of_them = spread_tokens(np.array(counts), np.array(tokens, dtype=np.float64))
    assert all_of_them.tolist() == [n for each in spread.values() for n in each]


ECHOED = "sk-Canary9fQ2xZ7mLp4vT8"
ECHOES = {
    "a short reason to end, read in C": event({}, ECHOED[:20]),
    "a long reason to end": event({}, ECHOED),
    "an event's error": event({}, error={"message": f"no {ECHOED}"}),
    "no event": b"data: {" + ECHOED.encode() + b"\n\n",
    "where the error is cut": event({}, error={"message": "x" * 495 + ECHOED}),
}


@pytest.mark.parametrize("reader", [pytest.param(READER, marks=in_c), None], ids=["C", "Python"])
@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES.keys())
def test_a_key_that_a_server_repeats_is_in_no_row(
    echo: bytes, reader: AnswerReader | None, tmp_path: Path
) -> None:
    answer = HEAD + framed(ROLE) + framed(SAID[0]) + framed(echo) + framed(DONE) + END
    found = outcomes_of(raws_of([[answer]], tmp_path / "log"), reader, redact=Redactor([ECHOED]))
    told = str([found.texts[name] for name in ("finish_reason", "error")])
    assert "Canary" not in told
    assert "***" in told or "xxx" in told


def test_a_key_in_an_http_error_and_in_its_headers_is_in_no_row(tmp_path: Path) -> None:
    said = f"slow {ECHOED}".encode()
    answer = b"HTTP/1.1 429 No\r\nRetry-After: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        ECHOED.encode(),
        len(said),
        said,
    )
    raws = raws_of([[answer]], tmp_path / "log")
    [error] = outcomes_of(raws, READER, redact=Redactor([ECHOED])).texts["error"]
    assert error == "HTTP 429 Too Many Requests, Retry-After: ***: slow ***"

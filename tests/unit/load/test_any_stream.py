"""Whatever is said of an answer, nothing is raised, and no count goes beyond what arrived."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nightbench.load.drive.ending import HINT, Ending
from nightbench.load.parse.stream_events import read_stream
from nightbench.load.parse.token_counts import believed, checked_prompt, merged_usage, visible
from nightbench.untrusted.deltas import output_of
from tests.unit.load.answers import DONE, SAID, event, usage

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        *("content", "reasoning", "reasoning_details", "thinking", "refusal", "tool_calls", "text"),
        *("delta", "message", "choices", "error", "usage", "finish_reason", "completion_tokens"),
        *("prompt_tokens", "completion_tokens_details", "reasoning_tokens", "object", "type"),
    ]
)
SHAPED = st.recursive(
    JSON, lambda inner: st.dictionaries(NAMES, inner) | st.lists(inner, max_size=2), max_leaves=12
)
LINES = st.tuples(
    st.sampled_from(
        [b"data: ", b"data:", b"event: ", b"event: error", b"error: ", b": ", b"id: ", b"{", b""]
    ),
    SHAPED.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=12),
    st.sampled_from([b"\n", b"\n\n", b"\r\n\r\n", b"\r\r", b""]),
).map(b"".join)
EVENTS = st.lists(LINES | st.sampled_from([*SAID, DONE, usage(5), event({}, "stop")]), max_size=10)


@given(EVENTS)
def test_whatever_stands_in_a_stream_is_read_without_an_error_of_ours(events: list[bytes]) -> None:
    body = b"".join(events)
    content = read_stream(body, whole=True)
    assert len(content.ends) <= len(body)
    assert all(isinstance(count, int) and 0 <= count < 10**7 for count in content.usage.values())
    assert 0 <= content.counted_at <= len(content.ends)


@given(SHAPED)
def test_whatever_a_choice_is_its_output_is_text_or_none(choice: Any) -> None:
    found = output_of(choice)
    assert isinstance(found.text, str)
    assert found.is_any or not found.text


COUNT = st.none() | st.integers(0, 10**7)


@given(st.lists(st.tuples(COUNT, st.integers(0, 500), st.integers(0, 10**5), COUNT), min_size=1))
def test_no_count_goes_beyond_what_arrived(drawn: list[tuple[Any, int, int, Any]]) -> None:
    said, chunks, body, reasoning = (
        np.array(column, dtype=np.float64) for column in zip(*drawn, strict=True)
    )
    for counted_at in (chunks, np.zeros_like(chunks), np.maximum(chunks - 1, 0)):
        tokens, wrong = believed(said, chunks, body, reasoning, counted_at, most_tokens=10**6)
        some = ~np.isnan(tokens)
        assert np.all(tokens[some] >= chunks[some])
        hidden = np.where(reasoning <= said, reasoning, 0)
        most = np.maximum(np.minimum(body + hidden, 10**6), chunks) + chunks
        assert np.all(tokens[some] <= most[some])
        assert not np.any(wrong & np.isnan(said))
        shown = visible(tokens, reasoning, np.zeros_like(tokens))
        assert np.all(shown[some] >= 0)


@given(st.lists(st.dictionaries(NAMES, SHAPED), max_size=5))
def test_counts_only_grow(usages: list[dict[str, Any]]) -> None:
    found: dict[str, int] = {}
    for said in usages:
        later = merged_usage(found, said)
        assert all(later[name] >= count for name, count in found.items())
        found = later


@given(COUNT, COUNT)
def test_no_more_is_cached_than_was_sent(prompt: int | None, cached: int | None) -> None:
    given_of = [np.array([value], dtype=np.float64) for value in (prompt, cached)]
    sent, found = checked_prompt(*given_of)
    assert math.isnan(sent[0]) or sent[0] > 0
    assert math.isnan(found[0]) or math.isnan(sent[0]) or found[0] <= sent[0]


@given(st.text(max_size=30), st.sets(st.integers(1, 400), max_size=6))
def test_an_end_is_found_however_it_is_cut_and_no_text_looks_like_one(
    text: str, cuts: set[int]
) -> None:
    body = event({"content": text + ' data: [DONE]\n "finish_reason": "stop"'}) + SAID[0]
    ending = Ending(1)
    for piece in (body, b"\n"):
        ending.add(piece)
        assert ending.look() is None
    end = event({}, "stop") + usage(5) + DONE
    marks = [0, *sorted(cut for cut in cuts if cut < len(end)), len(end)]
    said = None
    for begin, stop in pairwise(marks):
        ending.add(end[begin:stop])
        said = ending.look() or said
    assert said == "done"
    assert HINT.search(DONE)
    assert HINT.search(event({}, "stop"))
    assert not HINT.search(SAID[0])

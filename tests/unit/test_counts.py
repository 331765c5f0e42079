"""What a server says of itself is text: a count is one only where it can be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nightbench.accuracy.replies import parse_reply
from nightbench.engines.vllm import parse_counters
from nightbench.load.parse.stream_events import read_stream
from nightbench.load.prefix_cache import CacheCounters, CacheUse, parse_cache_counters
from nightbench.serving.hardware import telemetry
from nightbench.untrusted.counts import MOST_READING, MOST_TOKENS, as_count, as_reading

NO_COUNTS: list[Any] = [
    2**66, 2**63, MOST_TOKENS, -1, True, False, 1.0, 1e400, float("nan"), "12", [], {}, None,
]  # fmt: skip


@pytest.mark.parametrize("value", NO_COUNTS, ids=repr)
def test_what_is_no_count_is_none(value: object) -> None:
    assert as_count(value) is None


@pytest.mark.parametrize("value", [0, 1, MOST_TOKENS - 1])
def test_a_count_is_one(value: int) -> None:
    assert as_count(value) == value


def completion(usage: object) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"content": "B"}}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


@pytest.mark.parametrize("value", [v for v in NO_COUNTS if v is not None], ids=repr)
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
def test_a_reply_whose_usage_is_absurd_is_a_reply_without_that_count(
    name: str, value: object
) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 7} | {name: value}
    reply = parse_reply(completion(usage))
    assert (reply.text, getattr(reply, name)) == ("B", None)
    assert reply.odd_usage is not None
    assert name in reply.odd_usage
    assert len(reply.odd_usage) < 200


def test_absurd_details_and_numbers_of_thousands_of_digits_are_told_in_few_words() -> None:
    details = {"reasoning_tokens": -3}
    reply = parse_reply(completion({"completion_tokens": 7, "completion_tokens_details": details}))
    assert (reply.completion_tokens, reply.reasoning_tokens) == (7, None)
    assert reply.odd_usage == "invalid token counts: reasoning_tokens -3"
    reply = parse_reply(completion({"completion_tokens": [[[["x" * 5000]]]]}))
    assert len(reply.odd_usage or "") < 200


@pytest.mark.parametrize("usage", [None, [], "many", {}, {"completion_tokens": None}])
def test_a_reply_without_usage_has_nothing_odd(usage: object) -> None:
    reply = parse_reply(completion(usage))
    assert (reply.completion_tokens, reply.odd_usage) == (None, None)


@pytest.mark.parametrize("value", ["18446744073709551616000", "-1", "true", "1e400", '"12"'])
def test_a_stream_whose_chunks_count_absurdly_counts_its_chunks(value: str) -> None:
    event = (
        'data: {"choices": [{"index": 0, "delta": {"content": "a"}}], '
        f'"usage": {{"completion_tokens": {value}}}}}\n\n'
    )
    content = read_stream(event.encode() * 3 + b"data: [DONE]\n\n", whole=True)
    assert (len(content.ends), content.completion_counts, content.problem) == (3, [], None)


NO_READINGS: list[Any] = ["nan", "inf", "-Inf", "1e400", "12x", "", 10**400, 10 * MOST_READING]


@pytest.mark.parametrize("value", NO_READINGS, ids=lambda v: repr(v)[:20])
def test_what_is_no_reading_is_none(value: str | float) -> None:
    assert as_reading(value) is None
    assert telemetry.rows("gpu0", {"power_w": value, "rss_bytes": 1.0})[0].name == "rss_bytes"  # type: ignore[dict-item]


@pytest.mark.parametrize("value", ["NaN", "+Inf", "1e999", "oops"])
def test_counters_that_are_no_numbers_are_left_out_and_the_others_are_read(value: str) -> None:
    page = f"vllm:num_requests_running 3\nvllm:kv_cache_usage_perc {value}\n"
    counters = parse_counters(page)
    assert (counters.requests_running, counters.kv_cache_usage_ratio) == (3, None)
    assert counters.readings()["requests_running"] == 3


@pytest.mark.parametrize("value", ["NaN", "+Inf", "oops", ""])
def test_a_prefix_cache_that_counts_absurdly_has_no_counters(value: str) -> None:
    page = f"vllm:prefix_cache_queries_total 10\nvllm:prefix_cache_hits_total {value}\n"
    for absurd in (page, "vllm:prefix_cache_queries_total\n"):
        counters = parse_cache_counters(absurd)
        assert counters is not None
        assert CacheUse(counters, counters, counters).problem == "they contain NaN"


def test_a_prefix_cache_that_began_anew_was_hit_by_nothing() -> None:
    before, after = CacheCounters(100, 50), CacheCounters(3, 1)
    assert CacheUse(before, before, after).hits == 0

"""What pages of counters and lists of models say."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.security.misbehaving.pieces import (
    OK,
    Mode,
    Sent,
    replied,
)


def million_counters() -> Iterator[Sent]:
    line = b'vllm:prompt_tokens_total{engine="0"} 1\n'
    return replied(line * 1_000_000, OK + b"Content-Type: text/plain\r\n")


def counters_without_an_end() -> Iterator[Sent]:
    """Each line opens labels that none closes: what looks for the end looks through all of them."""
    return replied(b"vllm:prompt_tokens_total{x\n" * 200_000)


def counters_that_are_no_numbers() -> Iterator[Sent]:
    values = (b"abc", b"nan", b"1e999", b"", b"9" * 100_000, b"0x10", b"1_000")
    lines = b"".join(b"vllm:prefix_cache_queries_total " + value + b"\n" for value in values)
    return replied(lines)


def million_models() -> Iterator[Sent]:
    one = b'{"id":"m"}'
    return replied(b'{"data":[' + (one + b",") * 3_000_000 + one + b"]}")


def many_models() -> Iterator[Sent]:
    one = b'{"id":"m"}'
    return replied(b'{"data":[' + (one + b",") * 500_000 + one + b"]}")


def model_of_ten_megabytes() -> Iterator[Sent]:
    return replied(json.dumps({"data": [{"id": "m" * 10_000_000}]}).encode())


def models_nested_deeply() -> Iterator[Sent]:
    return replied(b'{"data":' + b"[" * 5_000_000)


def version_of_megabytes() -> Iterator[Sent]:
    return replied(json.dumps({"version": "1" * 7_000_000}).encode())


MODES: tuple[Mode, ...] = (
    million_counters,
    counters_without_an_end,
    counters_that_are_no_numbers,
    million_models,
    many_models,
    model_of_ten_megabytes,
    models_nested_deeply,
    version_of_megabytes,
)

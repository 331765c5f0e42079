"""Counters in Prometheus' text, from servers that may write anything."""

from __future__ import annotations

import time

import pytest

from nightbench.engines.vllm import parse_counters
from nightbench.load.prefix_cache import CacheUse, parse_cache_counters
from nightbench.untrusted.prometheus import readings

ENDLESS = {
    "no number": "vllm:prompt_tokens_total {}\n",
    "labels that do not end": "vllm:prompt_tokens_total{x\n",
    "one line": "vllm:prompt_tokens_total{",
    "no name": "vllm:\n",
    "nothing": "\n",
}


def test_a_line_is_a_name_labels_and_a_value() -> None:
    page = '# HELP x\nvllm:a{engine="0",b="c d"} 1\nvllm:b_total 2.5e3\nother:c 3\nvllm:d{e="}"} 4'
    assert list(readings(page, "vllm:")) == [("a", 1.0), ("b_total", 2500.0), ("d", 4.0)]


def test_what_is_no_finite_number_is_read_over() -> None:
    values = ["abc", "NaN", "+Inf", "-Inf", "", "1e999", "0x10", "1_000", "9" * 400]
    page = "".join(f"vllm:prefix_cache_queries_total {value}\n" for value in values)

    assert list(readings(page, "vllm:")) == []
    counters = parse_cache_counters(page)
    assert counters is not None
    assert CacheUse(counters, counters, counters).problem == "they contain NaN"
    assert parse_counters(page).prefix_cache_queries is None


@pytest.mark.parametrize("line", ENDLESS.values(), ids=ENDLESS)
def test_a_page_of_megabytes_is_read_in_time(line: str) -> None:
    page = line * (2_000_000 // len(line))
    began_s = time.process_time()

    parse_counters(page)
    parse_cache_counters(page)

    assert time.process_time() - began_s < 20  # what looked ahead for each line's end took hours

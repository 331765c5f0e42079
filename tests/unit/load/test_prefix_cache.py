"""The server's prefix-cache counters."""

from __future__ import annotations

from nightbench.endpoint import Endpoint
from nightbench.load.prefix_cache import (
    CacheCounters,
    CacheUse,
    parse_cache_counters,
    read_cache_counters,
    reset_prefix_cache,
)

# As vLLM 0.32 prints them.
PAGE = """\
# HELP vllm:prefix_cache_queries_total Prefix cache queries, in terms of number of queried tokens.
# TYPE vllm:prefix_cache_queries_total counter
vllm:prefix_cache_queries_total{engine="0",model_name="m"} 1200.0
vllm:prefix_cache_queries_total{engine="1",model_name="m"} 300.0
vllm:prefix_cache_queries_created{engine="0",model_name="m"} 1.7e+09
# TYPE vllm:prefix_cache_hits_total counter
vllm:prefix_cache_hits_total{engine="0",model_name="m"} 640.0
vllm:external_prefix_cache_hits_total{engine="0",model_name="m"} 99.0
"""


def use(*hits: float) -> CacheUse:
    return CacheUse(*(CacheCounters(0, count) for count in hits))


def test_counters_are_summed_over_engines() -> None:
    assert parse_cache_counters(PAGE) == CacheCounters(1500, 640)


def test_a_page_without_them_has_none() -> None:
    assert parse_cache_counters("# HELP up\nup 1\n") is None


def test_what_the_template_shares_is_not_a_hit() -> None:
    """11 warm-up requests hit 16 tokens each but the first: the floor. 100 requests hit it too."""
    assert use(0, 160, 160 + 1600).hits_above_template(11, 100) == 0


def test_what_is_beyond_the_template_is() -> None:
    assert use(0, 160, 160 + 5000).hits_above_template(11, 100) == 3400


def test_without_a_warm_up_a_templates_worth_is_let_pass() -> None:
    assert use(0, 0, 1600).hits_above_template(0, 100) == 0
    assert use(0, 0, 20_000).hits_above_template(0, 100) == 20_000 - 6400


def test_a_server_that_is_not_there_has_no_counters() -> None:
    nobody = Endpoint(base_url="http://127.0.0.1:9/v1", model="m")
    assert read_cache_counters(nobody) is None
    assert not reset_prefix_cache(nobody)

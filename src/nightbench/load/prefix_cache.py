"""The server's own prefix-cache counters, and emptying that cache, where it offers them.

vLLM serves `vllm:prefix_cache_queries_total` and `…_hits_total` (in tokens) under /metrics, and
takes POST /reset_prefix_cache in its development mode. A server without them is not asked twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeGuard

from nightbench.endpoint import Endpoint
from nightbench.untrusted.http_reader import HttpRequest, NotRead, Page, fetch
from nightbench.untrusted.prometheus import samples

_QUERIES = "prefix_cache_queries"
_HITS = "prefix_cache_hits"
_RESET_PATH = "/reset_prefix_cache"  # of a server whose engine is not known, if it counts hits
_WITHIN_S = 2.0
_READINGS = 3  # before the warm-up, before the level, after it
# Without a warm-up that shows it: the most tokens a request may share through its chat template.
TEMPLATE_TOKENS = 64


@dataclass(frozen=True, slots=True)
class CacheCounters:
    """Prompt tokens looked up in the prefix cache so far, and those found there."""

    queries: float
    hits: float
    started_s: float | None = None  # when the process that counts began, where it says so


@dataclass(frozen=True, slots=True)
class CacheUse:
    """The counters before a level's warm-up, before its clock and after it.

    `prompt_tokens`: what the level's prompts had in all, where that is known.
    """

    before_warmup: CacheCounters
    before: CacheCounters
    after: CacheCounters
    prompt_tokens: int | None = None

    @property
    def problem(self) -> str | None:
        """Why nothing may be read off these counters; None where something may."""
        marks = (self.before_warmup, self.before, self.after)
        if any(math.isnan(mark.queries + mark.hits) for mark in marks):
            return "they contain NaN"
        if len({mark.started_s for mark in marks}) > 1:
            return "they come from several processes, as behind a load balancer"
        for earlier, later in pairwise(marks):
            if later.hits < earlier.hits or later.queries < earlier.queries:
                return "they decrease, as behind a load balancer or after a restart"
            if later.hits - earlier.hits > later.queries - earlier.queries:
                return "they count more hits than queries"
        if self.prompt_tokens is not None and self.hits > self.prompt_tokens:
            return f"{self.hits:,} tokens hit, but only {self.prompt_tokens:,} were sent"
        return None

    @property
    def hits(self) -> int:
        """Prompt tokens the level found in the cache."""
        return max(0, round(self.after.hits - self.before.hits))

    def hits_above_template(self, warmup_prompts: int, num_prompts: int) -> int:
        """The level's hits beyond what every request shares through the chat template.

        The warm-up's prompts share nothing else, so its hits per request (the first finds nothing)
        are that floor.
        """
        warm_hits = self.before.hits - self.before_warmup.hits
        if warmup_prompts > 1:
            floor = warm_hits / (warmup_prompts - 1)
        else:
            floor = min(TEMPLATE_TOKENS, self.hits / max(num_prompts, 1))
        return max(0, round(self.hits - floor * num_prompts))


def read_cache_counters(endpoint: Endpoint) -> CacheCounters | None:
    """The counters now; None where the server has none or does not answer."""
    page = _ask("GET", "/metrics", endpoint)
    return parse_cache_counters(page.body.decode(errors="replace")) if _is_there(page) else None


def reset_prefix_cache(endpoint: Endpoint) -> bool:
    """Empty the server's prefix cache; whether it could be."""
    return _is_there(_ask("POST", endpoint.cache_reset_path or _RESET_PATH, endpoint))


class CacheWatch:
    """Empties the server's prefix cache before a level and reads its counters around it."""

    def __init__(self, endpoint: Endpoint, *, is_watched: bool) -> None:
        self._endpoint = endpoint
        self._is_watched = self._offered = is_watched
        self._marks: list[CacheCounters] = []

    def begin(self) -> None:
        """Empty the cache where that is offered, and take the first reading."""
        self.mark()
        is_known = self._is_watched and self._endpoint.cache_reset_path
        if self._offered or is_known:
            reset_prefix_cache(self._endpoint)

    def mark(self) -> None:
        """Take a reading, unless the server had none to give before."""
        if not self._offered:
            return
        counters = read_cache_counters(self._endpoint)
        if counters is None:
            self._offered = False
        else:
            self._marks.append(counters)

    @property
    def use(self) -> CacheUse | None:
        """The three readings, where there were three."""
        if len(self._marks) != _READINGS:
            return None
        before_warmup, before, after = self._marks
        return CacheUse(before_warmup, before, after)


def parse_cache_counters(text: str) -> CacheCounters | None:
    """The counters of a Prometheus page, over all engines; None where it has none, NaN where what
    is there is no reading."""
    found = {_QUERIES: 0.0, _HITS: 0.0}
    seen = False
    for name, value in samples(text, "vllm:"):
        counter = name.removesuffix("_total")
        if counter in found:
            found[counter] += math.nan if value is None else value
            seen = True
    if not seen:
        return None
    started = [value for name, value in samples(text, "process_start_time_seconds") if not name]
    return CacheCounters(found[_QUERIES], found[_HITS], started[0] if len(started) == 1 else None)


def _ask(method: str, path: str, endpoint: Endpoint) -> Page | None:
    """The answer; None where nobody gives one: the level's own requests will say so."""
    question = HttpRequest(
        url=f"{endpoint.root_url}{path}",
        headers=endpoint.request_headers(),
        method=method,
        verify_tls=endpoint.verify_tls,
    )
    most_bytes = endpoint.limits.error_bytes
    try:
        return fetch(
            question, within_s=_WITHIN_S, most_bytes=most_bytes, most_error_bytes=most_bytes
        )
    except NotRead:
        return None


def _is_there(page: Page | None) -> TypeGuard[Page]:
    return page is not None and page.status == 200

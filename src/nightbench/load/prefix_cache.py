"""The server's own prefix-cache counters, and emptying that cache, where it offers them.

vLLM serves `vllm:prefix_cache_queries_total` and `…_hits_total` (in tokens) under /metrics, and
takes POST /reset_prefix_cache in its development mode. A server without them is not asked twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

from nightbench.endpoint import Endpoint
from nightbench.untrusted.http_reader import NotRead, Page, Question, fetch
from nightbench.untrusted.prometheus import samples

_QUERIES = "prefix_cache_queries"
_HITS = "prefix_cache_hits"
_RESET_PATH = "/reset_prefix_cache"  # of a server whose engine is not known, if it counts hits
_WITHIN_S = 2.0
# Without a warm-up that shows it: the most tokens a request may share through its chat template.
TEMPLATE_TOKENS = 64


@dataclass(frozen=True, slots=True)
class CacheCounters:
    """Prompt tokens looked up in the prefix cache so far, and those found there."""

    queries: float
    hits: float


@dataclass(frozen=True, slots=True)
class CacheUse:
    """The counters before a level's warm-up, before its clock and after it."""

    before_warmup: CacheCounters
    before: CacheCounters
    after: CacheCounters

    @property
    def hits(self) -> int:
        """Prompt tokens the level found in the cache; none where the counters began anew."""
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


def read_cache_counters(endpoint: Endpoint, *, verify_tls: bool = True) -> CacheCounters | None:
    """The counters now; None where the server has none or does not answer."""
    page = _ask("GET", "/metrics", endpoint, verify_tls=verify_tls)
    return parse_cache_counters(page.body.decode(errors="replace")) if _is_there(page) else None


def reset_prefix_cache(endpoint: Endpoint, *, verify_tls: bool = True) -> bool:
    """Empty the server's prefix cache; whether it could be."""
    path = endpoint.cache_reset_path or _RESET_PATH
    return _is_there(_ask("POST", path, endpoint, verify_tls=verify_tls))


def parse_cache_counters(text: str) -> CacheCounters | None:
    """The counters of a Prometheus page, over all engines; None where it has none, or what is
    there is no reading."""
    found = {_QUERIES: 0.0, _HITS: 0.0}
    seen = False
    for name, value in samples(text, "vllm:"):
        counter = name.removesuffix("_total")
        if counter in found:
            if value is None:
                return None
            found[counter] += value
            seen = True
    return CacheCounters(found[_QUERIES], found[_HITS]) if seen else None


def _ask(method: str, path: str, endpoint: Endpoint, *, verify_tls: bool) -> Page | None:
    """The answer; None where nobody gives one: the level's own requests will say so."""
    question = Question(
        url=f"{endpoint.root_url}{path}",
        headers=endpoint.request_headers(),
        method=method,
        verify_tls=verify_tls,
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

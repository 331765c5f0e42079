"""How many tokens an answer had: what its usage says, held against what arrived.

A chunk of output holds one token at least, and each token that is seen takes a byte at least. What
contradicts that is not believed: the chunks are counted instead. All of many requests at once, NaN
where nothing is known.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from nightbench.untrusted.counts import as_count

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]


def merged_usage(before: dict[str, int], usage: dict[str, object]) -> dict[str, int]:
    """The counts of an answer so far and those of one more usage, by flat names.

    Counts only grow while an answer does: one that is missing, zero or smaller later erases none.
    """
    found = dict(before)
    for name in ("prompt_tokens", "completion_tokens"):
        _take(found, name, usage.get(name))
    for inner, name in (
        ("prompt_tokens_details", "cached_tokens"),
        ("completion_tokens_details", "reasoning_tokens"),
    ):
        details = usage.get(inner)
        if isinstance(details, dict):
            _take(found, name, details.get(name))
    return found


def _take(found: dict[str, int], name: str, value: object) -> None:
    count = as_count(value)
    if count is not None:
        found[name] = max(count, found.get(name, 0))


def believed(
    said: Floats,
    chunks: Floats,
    body_bytes: Floats,
    reasoning: Floats,
    counted_at: Floats,
    *,
    most_tokens: float = math.inf,
) -> tuple[Floats, Flags]:
    """(completion tokens, whether what was said of them is contradicted by what arrived).

    `counted_at`: how many chunks there were when the server last said. A count that several chunks
    follow is no total: they are added to it. `most_tokens`: what the request allowed.
    """
    known = ~np.isnan(said)
    most = np.minimum(body_bytes + np.where(reasoning <= said, reasoning, 0), most_tokens)
    absurd = said > np.maximum(most, chunks)
    early = chunks - counted_at > 1
    wrong = known & (absurd | early | (said < chunks))
    by_chunks = np.where(chunks > 0, chunks, np.nan)
    by_both = np.where(early & ~absurd, np.maximum(said + chunks - counted_at, chunks), by_chunks)
    return np.where(known, np.where(wrong, by_both, said), by_chunks), wrong


def checked_prompt(prompt: Floats, cached: Floats) -> tuple[Floats, Floats]:
    """(prompt tokens, those of them that were cached): no prompt has none, nor more cached."""
    prompt = np.where(prompt > 0, prompt, np.nan)
    return prompt, np.where(cached > prompt, np.nan, cached)


def visible(tokens: Floats, reasoning: Floats, first_answer: Floats) -> Floats:
    """The tokens that the chunks hold: thoughts that were counted and never sent are in none."""
    unsent = np.where((first_answer == 0) & (reasoning < tokens), np.nan_to_num(reasoning), 0)
    return tokens - unsent

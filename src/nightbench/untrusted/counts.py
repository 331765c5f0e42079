"""Counts that others tell us: what can be a number of tokens of one answer, and what cannot.

A server's `usage` is text that came over the network. 2**66, -1, true and "12" are no counts: they
are not measured (None), and said to be so where there is a place for it. No answer has ten million
tokens, nor has a prompt.
"""

from __future__ import annotations

import math

MOST_TOKENS = 10_000_000  # of one answer or prompt; from here on it is no count
MOST_READING = 1e18  # of a counter, in bytes, tokens or microseconds: beyond, it is broken


def as_count(value: object) -> int | None:
    """A number of tokens, where it can be one."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value < MOST_TOKENS else None


def as_reading(value: float | str) -> float | None:
    """A counter's reading, where it is a number that a counter can have."""
    try:
        reading = float(value)
    except (ValueError, OverflowError):
        return None
    return reading if math.isfinite(reading) and abs(reading) <= MOST_READING else None

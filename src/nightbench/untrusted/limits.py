"""How much a server may answer. What is more is not read, and the request has failed."""

from __future__ import annotations

from dataclasses import dataclass

MB = 1_000_000
MOST_MB = 1_000_000  # as a limit
# Status line and headers, interim responses before them too. Servers themselves take 8 to 64 KB.
HEAD_BYTES = 256_000


class TooLarge(ValueError):
    """An answer is larger than its limit; says which. Rows call it `too_large`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLimits:
    """Bytes that are held at most of one answer: as it came, and again once it is unpacked.

    `error_bytes` is of an answer that says what went wrong (its status counts, and what is beyond
    the limit is left) and of pages that say how a server is: counters, its version.
    """

    answer_bytes: int = 64 * MB
    error_bytes: int = 8 * MB
    model_list_bytes: int = 16 * MB


DEFAULT_LIMITS = AnswerLimits()


def megabytes(size_bytes: int) -> str:
    """A limit as a person reads it: `64 MB`."""
    return f"{size_bytes / MB:g} MB"

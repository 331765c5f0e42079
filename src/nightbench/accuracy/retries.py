"""Whether and when a failed request is asked again."""

from __future__ import annotations

MAX_RETRIES = 4
FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 20.0
LONGEST_RETRY_AFTER_S = 120.0

_PASSING = frozenset({"connect", "cut", "rate_limited", "server_error"})


def retry_delay_s(
    kind: str,
    retries_so_far: int,
    retry_after_s: float | None,
    jitter: float,
    *,
    max_retries: int = MAX_RETRIES,
) -> float | None:
    """Seconds to wait before asking again, or None to give up.

    Doubles from 0.5 s, spread by `jitter` in [0, 1) so that many workers do not come back at once;
    a server's Retry-After is honoured as it stands. A timeout is not retried: the second time takes
    as long as the first.
    """
    if kind not in _PASSING or retries_so_far >= max_retries:
        return None
    if retry_after_s is not None:
        return min(retry_after_s, LONGEST_RETRY_AFTER_S)
    delay = min(LONGEST_DELAY_S, FIRST_DELAY_S * float(2**retries_so_far))
    return delay * (0.75 + 0.5 * jitter)

"""Whether the time between an answer's chunks says anything of how fast they were made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Chunks that follow each other faster, on average, came in one burst: behind a buffering proxy, or
# at once. No server makes a hundred tokens a millisecond for one stream.
BURST_MS = 0.01


def has_gap(span_ms: NDArray[np.float64], chunks: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether these answers, of so many chunks over so long, came in more than one burst."""
    return (chunks > 1) & (span_ms > BURST_MS * (chunks - 1))

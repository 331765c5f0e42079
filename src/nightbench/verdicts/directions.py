"""Which way a metric is good: asked here alone."""

from __future__ import annotations

from nightbench.verdicts.series import Better, better

__all__ = ["Better", "better"]

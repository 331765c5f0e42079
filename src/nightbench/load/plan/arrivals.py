"""When the requests of an open loop leave: an absolute schedule, the same every night."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from nightbench.errors import BadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """Requests at `rate` per second; gaps are gamma distributed with mean 1 / rate.

    `burstiness` is the gamma's shape, as vLLM names it: 1 is a Poisson process, larger is steadier,
    inf is constant. A rate of inf sends all at once.
    """

    rate: float
    burstiness: float = 1.0
    seed: int = 0

    def offsets_ns(self, count: int) -> array[int]:
        """Nanoseconds from the level's start to each of `count` requests, ascending."""
        return array("q", islice(self._all(), count))

    def count_within(self, duration_s: float) -> int:
        """How many requests leave within `duration_s`. Raises BadInput for a rate of inf."""
        if math.isinf(self.rate):
            raise BadInput(
                "a request rate of inf cannot be limited by a duration",
                hint="set the number of requests: num_prompts",
            )
        end_ns = round(duration_s * 1e9)
        count = 0
        for offset in self._all():
            if offset >= end_ns:
                break
            count += 1
        return max(1, count)

    def _all(self) -> Iterator[int]:
        if math.isinf(self.rate):
            while True:
                yield 0
        yield from self._gaps()

    def _gaps(self) -> Iterator[int]:
        if math.isinf(self.burstiness):
            # Multiplied, not summed: a constant rate must not drift.
            index = 0
            while True:
                yield round(index * 1e9 / self.rate)
                index += 1
        rng = random.Random(f"arrivals-{self.seed}")  # noqa: S311 a schedule, not a secret
        scale = 1e9 / (self.rate * self.burstiness)
        at = 0.0
        while True:
            yield round(at)
            at += rng.gammavariate(self.burstiness, scale)

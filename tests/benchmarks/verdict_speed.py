"""How long one night's verdicts take, given three years of nights.

python -m tests.benchmarks.verdict_speed
"""

from __future__ import annotations

import time

import numpy as np

from nightbench.verdicts.fleet import Fleet
from nightbench.verdicts.judge import judge_night
from tests.benchmarks.simulated_nights import JUDGED, Noise, World

NIGHTS = 3 * 365


def main() -> None:
    """Twenty targets, then a thousand."""
    for targets in (20, 1000):
        world = World(nodes=targets // 5, noise=Noise(), seed=3, targets_per_node=5)
        fleet = Fleet(world.layout(), capacity=NIGHTS + 1)
        provenance = np.zeros(targets, dtype=np.int64)
        for _ in range(NIGHTS):
            fleet.add(world.next_night(0.0, provenance))
        fleet.accepted[:] = 0
        night = world.next_night(0.0, provenance)
        began = time.perf_counter()
        judge_night(fleet, night, world.measure)
        took = time.perf_counter() - began
        print(f"{targets} targets, {targets * JUDGED} series, {NIGHTS} nights: {took:.2f} s")


if __name__ == "__main__":
    main()

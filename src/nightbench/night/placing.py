"""Which node measures which target: decisions over values.

A work pool is named after the kind of its nodes: `cpu`, `gpu4`, `gpu8-rack2`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from nightbench.engines import target_engine
from nightbench.suite.models import Target

_KIND = re.compile(r"^(?:cpu|gpu(?P<gpus>\d+))(?:[-_.].*)?$")


@dataclass(frozen=True, slots=True)
class Pool:
    """Nodes that take targets: the work pool, and the deployment by which they are handed over."""

    name: str
    deployment: str

    @property
    def num_gpus(self) -> int:
        """GPUs of each of its nodes; 0 where its name does not say."""
        match = _KIND.match(self.name)
        return int(match["gpus"] or 0) if match else 0


def place(
    targets: Sequence[Target], gpus_here: int, elsewhere: Sequence[Pool]
) -> dict[str, Pool | None]:
    """For each target the pool that gets it, None where it is measured here.

    It stays here if it needs no GPUs, if there are enough here, or if nobody has enough. Else it
    goes to the smallest nodes that are large enough, to each of equal pools in turn.
    """
    placed: dict[str, Pool | None] = {}
    load: Counter[str] = Counter()
    for target in targets:
        needed = target_engine.num_gpus(target)
        enough = [pool for pool in elsewhere if pool.num_gpus >= needed]
        if needed <= gpus_here or not enough:
            placed[target.name] = None
            continue
        chosen = min(enough, key=lambda pool: (pool.num_gpus, load[pool.name], pool.name))
        load[chosen.name] += 1
        placed[target.name] = chosen
    return placed

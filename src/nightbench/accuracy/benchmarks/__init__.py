"""The benchmarks there are: one small file each, that only declares `BENCHMARK`.

To add one: write its file beside these, and name it in `docs/`. Other distributions declare theirs
by the entry point `nightbench.benchmarks` (docs/adding.md).
"""

from __future__ import annotations

from pkgutil import iter_modules

from nightbench.accuracy.benchmark import Benchmark
from nightbench.plugins import BENCHMARKS

OURS = {
    module.name: f"{__name__}.{module.name}:BENCHMARK"
    for module in sorted(iter_modules(__path__), key=lambda module: module.name)
}


def names() -> tuple[str, ...]:
    """The names of all benchmarks."""
    return BENCHMARKS.names()


def find(name: str) -> Benchmark:
    """The benchmark of that name. Raises BadInput with the names there are."""
    key = name.lower().replace("-", "_")
    found: Benchmark = BENCHMARKS.find(
        key if key in BENCHMARKS.our_names() or key in names() else name
    )
    return found

"""The benchmarks there are: one small file each, that only declares `BENCHMARK`.

To add one: write its file beside these, name it in `_MODULES`, and in `docs/`.
"""

from __future__ import annotations

import difflib
import importlib

from nightbench.accuracy.benchmark import Benchmark
from nightbench.errors import BadInput

_MODULES = (
    "arc",
    "ceval",
    "cmmlu",
    "gsm8k",
    "hellaswag",
    "humaneval",
    "iquiz",
    "math",
    "math_500",
    "mcq",
    "mmlu",
    "qa",
    "starter",
    "truthful_qa",
)


def names() -> tuple[str, ...]:
    """The names of all benchmarks."""
    return _MODULES


def find(name: str) -> Benchmark:
    """The benchmark of that name. Raises BadInput with the names there are."""
    key = name.lower().replace("-", "_")
    if key not in _MODULES:
        close = difflib.get_close_matches(key, _MODULES, n=1)
        meant = f"Did you mean {close[0]}? " if close else ""
        raise BadInput(
            f"there is no benchmark named {name!r}",
            hint=f"{meant}There are {', '.join(_MODULES)}.",
        )
    module = importlib.import_module(f"{__name__}.{key}")
    benchmark: Benchmark = module.BENCHMARK
    return benchmark

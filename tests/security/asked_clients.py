"""Asks a hostile server as nightbench does, in a process of its own, and says what came of it.

python -m tests.security.asked_clients load|load-in-python|accuracy|probes URL
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from nightbench.accuracy.evaluate import evaluate
from nightbench.endpoint import Endpoint
from nightbench.engines.vllm import parse_counters
from nightbench.errors import EndpointError
from nightbench.load.drive.jobs import GeneratorOptions
from nightbench.load.measure import measure_level
from nightbench.load.plan.levels import plan_levels
from nightbench.load.plan.workloads import read_prompts
from nightbench.load.prefix_cache import read_cache_counters
from nightbench.records import AccuracySample
from nightbench.serving import probing
from nightbench.suite.models import AccuracySpec, LoadSpec

TIMEOUTS_S = {"connect": 5, "first_token": 8, "between_tokens": 5, "total": 12}
ANSWERS = 2
TOGETHER = 2


def load(endpoint: Endpoint, *, compiled: bool = True) -> str:
    """A level; the kinds its requests ended with."""
    spec = LoadSpec.model_validate(
        {
            "name": "w",
            "workload": {"kind": "random", "random_input_len": 5},
            "max_concurrency": TOGETHER,
            "num_prompts": ANSWERS,
            "timeouts_s": TIMEOUTS_S,
        }
    )
    (level,) = plan_levels(spec)
    prompts = read_prompts(spec.workload, level.prompts_needed, spec.seed, Path())
    options = GeneratorOptions(compiled=compiled)
    with tempfile.TemporaryDirectory() as folder:
        measured = measure_level(level, prompts, endpoint, work_dir=Path(folder), options=options)
        return kinds(pq.read_table(measured.requests_path)["error_kind"].to_pylist())


def accuracy(endpoint: Endpoint) -> str:
    """A few questions; the kinds their samples ended with."""
    samples: list[AccuracySample] = []
    spec = AccuracySpec(
        benchmark="starter",
        subsets=("IQ",),
        limit=ANSWERS,
        max_concurrency=TOGETHER,
        timeout_s=TIMEOUTS_S["total"],
    )
    try:
        evaluate(spec, endpoint, base_dir=Path(), on_sample=samples.append, max_retries=0)
    except EndpointError as error:
        return f"EndpointError: {error.message[:60]}"
    return kinds([sample.error_kind for sample in samples])


def probes(endpoint: Endpoint) -> str:
    """Every small question that is asked of a server; what each ended with."""

    def counters() -> object:
        page = probing.read_page(endpoint, "/metrics")
        return None if page is None else parse_counters(page).prompt_tokens

    asked: dict[str, Callable[[], Any]] = {
        "health": lambda: probing.status_of(f"{endpoint.root_url}/health"),
        "models": lambda: len(probing.list_models(endpoint)),
        "version": lambda: probing.read_version(endpoint, "/version"),
        "counters": counters,
        "cache": lambda: read_cache_counters(endpoint),
        "answer": lambda: probing.ask(endpoint, timeout_s=TIMEOUTS_S["total"]).ok,
    }
    return ", ".join(f"{name} {_told(ask)}" for name, ask in asked.items())


def kinds(found: list[str | None]) -> str:
    """How many of which, `ok` where nothing failed."""
    counts = Counter(kind or "ok" for kind in found)
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))


def _told(ask: Callable[[], Any]) -> str:
    try:
        answer = ask()
    except probing.NotListed:
        return "refused"
    return "none" if answer is None else str(answer)[:40]


def main() -> None:
    """As the command line says."""
    what, url = sys.argv[1:]
    endpoint = Endpoint(base_url=url, model="m")
    asks: dict[str, Callable[[Endpoint], str]] = {
        "load": load,
        "load-in-python": lambda at: load(at, compiled=False),
        "accuracy": accuracy,
        "probes": probes,
    }
    print(asks[what](endpoint))


if __name__ == "__main__":
    main()

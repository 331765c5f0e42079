"""vLLM: its command line, its environment, what its log and its counters say.

Pure: nothing here starts, reads or asks anything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nightbench.engines.options import HOST, PORT, options, sizes
from nightbench.errors import BadInput
from nightbench.suite.engines import VllmEngine
from nightbench.untrusted.prometheus import readings

Flavour = Literal["cpu", "cuda"]

READY_PATH = "/health"
VERSION_PATH = "/version"
COUNTERS_PATH = "/metrics"

# What nightbench sets itself. A key on a command line would be readable by every user (`ps`).
_OWNED = {
    "model": "target.model",
    "served-model-name": "target.served_model_name",
    "tensor-parallel-size": "engine.tensor_parallel_size",
    "pipeline-parallel-size": "engine.pipeline_parallel_size",
    "data-parallel-size": "engine.data_parallel_size",
    "host": HOST,
    "port": PORT,
    "api-key": "nothing: nightbench makes a random one and hands it over by environment",
}


def argv(
    engine: VllmEngine, model_path: str, served_model_name: str | None, host: str, port: int | str
) -> tuple[str, ...]:
    """The `vllm serve` command: the same on a GPU and on a CPU, the build decides the device.

    Raises BadInput where `args` holds an option that nightbench sets itself.
    """
    return (
        *command(engine, model_path, served_model_name),
        *("--host", host, "--port", str(port)),
    )


def command(engine: VllmEngine, model_path: str, served_model_name: str | None) -> tuple[str, ...]:
    """The command without its address, as a person would type it."""
    parallel = {
        "tensor-parallel-size": engine.tensor_parallel_size,
        "pipeline-parallel-size": engine.pipeline_parallel_size,
        "data-parallel-size": engine.data_parallel_size,
    }
    named = ("--served-model-name", served_model_name) if served_model_name else ()
    executor = {"distributed-executor-backend": "engine.ray"} if engine.ray else {}
    return (
        *("vllm", "serve", model_path),
        *sizes(parallel),
        *(("--distributed-executor-backend", "ray") if engine.ray else ()),
        *options(engine.args, _OWNED | executor, has_negations=True),
        *named,
    )


def env(engine: VllmEngine, *, flavour: Flavour, cores: Sequence[int] = ()) -> dict[str, str]:
    """The variables a server of local weights needs; the suite's own are laid on top.

    `cores` are the leased ones: on a CPU each tensor-parallel rank computes on its share of them.
    """
    base = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    if flavour == "cpu":
        base |= {"VLLM_TARGET_DEVICE": "cpu", "VLLM_CPU_KVCACHE_SPACE": "2"}
        if engine.tensor_parallel_size > 1:
            base["VLLM_CPU_OMP_THREADS_BIND"] = omp_binding(cores, engine.tensor_parallel_size)
    if engine.ray is not None:
        base["RAY_ADDRESS"] = engine.ray.address  # vLLM calls ray.init() without one
    return base | engine.env


def omp_binding(cores: Sequence[int], ranks: int) -> str:
    """Cores dealt out evenly, in order, one group per rank: [0, 1, 2, 3] over 2 is `0,1|2,3`."""
    if len(cores) < ranks:
        raise BadInput(
            f"tensor_parallel_size {ranks} on a CPU needs {ranks} cores, {len(cores)} are there",
            hint="Lower engine.tensor_parallel_size, or run where there are more cores.",
        )
    share = len(cores) // ranks
    groups = (cores[rank * share : (rank + 1) * share] for rank in range(ranks))
    return "|".join(",".join(map(str, group)) for group in groups)


@dataclass(frozen=True, slots=True)
class BootSign:
    """A line of the log that says how far a boot is; `seconds` where the line carries them.

    `step` grows along a boot, so that a later line about an earlier step can be told.
    """

    step: int
    phase: Literal["weights", "compile"]
    label: str
    seconds: float | None = None


_SIGNS: tuple[tuple[Literal["weights", "compile"], str, re.Pattern[str]], ...] = (
    ("weights", "loading weights", re.compile(r"Starting to load model")),
    ("weights", "warming up", re.compile(r"Loading weights took (\d+(?:\.\d+)?)")),
    ("compile", "compiling", re.compile(r"Dynamo bytecode transform|torch\.compile takes")),
    ("compile", "capturing CUDA graphs", re.compile(r"Capturing CUDA graph")),
    ("compile", "opening the API", re.compile(r"init engine .*?took (\d+(?:\.\d+)?)")),
)


def boot_sign(line: str) -> BootSign | None:
    """What a line of the log says about the boot, if anything."""
    for step, (phase, label, pattern) in enumerate(_SIGNS):
        if match := pattern.search(line):
            seconds = float(match[1]) if pattern.groups else None
            return BootSign(step, phase, label, seconds)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """vLLM's own view of itself.

    `signature` changes with every step of the engine, and by nothing that its API process could
    count alone (an aborted request is counted there while the engine hangs).
    """

    requests_running: float = 0
    requests_waiting: float = 0
    kv_cache_usage_ratio: float | None = None
    prefix_cache_queries: float | None = None
    prefix_cache_hits: float | None = None
    preemptions: float | None = None
    prompt_tokens: float | None = None
    generation_tokens: float | None = None
    signature: int = 0

    def readings(self) -> dict[str, float]:
        """Name to value of what is stored as telemetry; what this version lacks is left out."""
        named = {
            "requests_running": self.requests_running,
            "requests_waiting": self.requests_waiting,
            "kv_cache_usage_ratio": self.kv_cache_usage_ratio,
            "prefix_cache_queries_tokens": self.prefix_cache_queries,
            "prefix_cache_hits_tokens": self.prefix_cache_hits,
            "preemptions": self.preemptions,
            "prompt_tokens": self.prompt_tokens,
            "generation_tokens": self.generation_tokens,
        }
        return {name: value for name, value in named.items() if value is not None}


_MOVED_BY_STEPS = (
    "iteration_tokens_total_count",
    "generation_tokens_total",
    "prompt_tokens_total",
    "kv_cache_usage_perc",
    "num_requests_running",
    "num_requests_waiting",
    "num_preemptions_total",
)


def parse_counters(exposition: str) -> Counters:
    """Counters out of /metrics (Prometheus text), summed over engines and labels."""
    sums: dict[str, float] = {}
    for name, value in readings(exposition, "vllm:"):
        sums[name] = sums.get(name, 0.0) + value

    return Counters(
        requests_running=sums.get("num_requests_running", 0),
        requests_waiting=sums.get("num_requests_waiting", 0),
        kv_cache_usage_ratio=sums.get("kv_cache_usage_perc"),
        prefix_cache_queries=sums.get("prefix_cache_queries_total"),
        prefix_cache_hits=sums.get("prefix_cache_hits_total"),
        preemptions=sums.get("num_preemptions_total"),
        prompt_tokens=sums.get("prompt_tokens_total"),
        generation_tokens=sums.get("generation_tokens_total"),
        signature=hash(tuple(sums.get(name) for name in _MOVED_BY_STEPS)),
    )

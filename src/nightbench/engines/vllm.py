"""vLLM: its command line, its environment, what its log and its counters say.

Pure: nothing here starts, reads or asks anything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from nightbench.engines.adapter import EngineAdapter, Flavour, Launch, Place
from nightbench.engines.observed import BootPhase, BootSign, Counters
from nightbench.engines.options import HOST, PORT, options, sizes
from nightbench.engines.renames import Renamed, gone
from nightbench.engines.wizard import Wizard, WizardAnswers, parallel_lines
from nightbench.errors import BadInput
from nightbench.suite.engines import (
    Args,
    EngineConfig,
    Environment,
    VariableNames,
    Variables,
)
from nightbench.suite.types import PositiveInt, Strict
from nightbench.untrusted.prometheus import readings


class RayCluster(Strict):
    """The Ray cluster that carries a model larger than a node: its head, as `ray start` names it.

    Only this node's share is leased here; the cluster's other nodes are Ray's.
    """

    address: str
    num_gpus_here: PositiveInt = 8


class VllmEngine(EngineConfig):
    """vLLM, started by nightbench. `args` become `--key value`; true becomes a bare `--key`.

    `env` sets variables for the engine, `pass_env` names those of ours that it gets beside the ones
    that every engine does (nightbench.secrets.child_env).
    """

    kind: Literal["vllm"]
    environment: Environment | Literal["auto"] = "auto"
    tensor_parallel_size: PositiveInt = 1
    pipeline_parallel_size: PositiveInt = 1
    data_parallel_size: PositiveInt = 1
    ray: RayCluster | None = None
    args: Args = {}
    env: Variables = {}
    pass_env: VariableNames = ()

    @property
    def num_gpus(self) -> int:
        """GPUs the engine needs on this node."""
        world = self.tensor_parallel_size * self.pipeline_parallel_size * self.data_parallel_size
        return min(world, self.ray.num_gpus_here) if self.ray else world


READY_PATH = "/health"
VERSION_PATH = "/version"
COUNTERS_PATH = "/metrics"
CACHE_RESET_PATH = "/reset_prefix_cache"  # in its development mode only

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
            f"tensor_parallel_size {ranks} on a CPU needs {ranks} cores, this machine has "
            f"{len(cores)}",
            hint="Lower engine.tensor_parallel_size, or use a machine with more cores.",
        )
    share = len(cores) // ranks
    groups = (cores[rank * share : (rank + 1) * share] for rank in range(ranks))
    return "|".join(",".join(map(str, group)) for group in groups)


_SIGNS: tuple[tuple[BootPhase, str, re.Pattern[str]], ...] = (
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


def launch(engine: VllmEngine, place: Place) -> Launch:
    """What is started."""
    name = place.served_model_name
    return Launch(
        argv=argv(engine, place.model_path or "", name, place.host, place.port),
        env=env(engine, flavour=place.flavour, cores=place.cores),
        ready_path=READY_PATH,
        counters_path=COUNTERS_PATH,
        version_path=VERSION_PATH,
        cache_reset_path=CACHE_RESET_PATH,
    )


def wizard_lines(answers: WizardAnswers) -> list[str]:
    """As for every engine that spans GPUs; without one it is the CPU build, with its own needs."""
    lines = parallel_lines(answers)
    if answers.num_gpus:
        return lines
    return [
        *lines[:-1],
        "# Without a GPU it is the CPU build: float32, not compiled, a short context.",
        "args: {dtype: float32, enforce-eager: true, max-model-len: 4096}",
        'env: {VLLM_CPU_KVCACHE_SPACE: "2"} # GB',
    ]


_NOTES = "https://github.com/vllm-project/vllm/pull/"
_PARSER = "the parser of vLLM 0.32.0"
_GLM = "https://github.com/vllm-project/recipes/pull/27"
_PARSERS = ("tool-call-parser", "reasoning-parser")
RENAMED = (
    *(
        Renamed(option=option, value="glm4_moe", instead="glm45", since="0.10.1", source=_GLM)
        for option in _PARSERS
    ),
    *(
        Renamed(
            option=option,
            value="glm45",
            instead="glm4_moe (or name a later vLLM)",
            until="0.10.1",
            source=_GLM,
        )
        for option in _PARSERS
    ),
    Renamed(
        option="tool-call-parser",
        value="minimax",
        since="0.32.0",
        instead="minimax_m2",
        source=_PARSER,
    ),
    *gone(
        "0.10.0",
        "https://docs.vllm.ai/en/v0.10.0/features/reasoning_outputs.html",
        {"enable-reasoning": "reasoning-parser alone"},
    ),
    *gone(
        "0.17.0",
        f"{_NOTES}21739, {_NOTES}29402",
        {"disable-log-requests": "nothing (or enable-log-requests: false, --no-enable-…)"},
    ),
    *gone(
        "0.32.0",
        _PARSER,
        {
            "task": "runner (generate, pooling) or convert (embed, classify)",
            "guided-decoding-backend": "structured-outputs-config, as JSON with a backend",
            "speculative-model": "speculative-config, as JSON with a model",
            "num-speculative-tokens": "speculative-config, as JSON with num_speculative_tokens",
            "num-scheduler-steps": "nothing: scheduling is asynchronous by itself",
            "use-v2-block-manager": "nothing: there is no other",
            "worker-use-ray": "engine.ray with the cluster's address",
            "engine-use-ray": "engine.ray with the cluster's address",
            "swap-space": "kv-offloading-size where the KV cache is to be offloaded",
            "max-seq-len-to-capture": "max-cudagraph-capture-size",
            "max-context-len-to-capture": "max-cudagraph-capture-size",
            "cuda-graph-sizes": "cudagraph-capture-sizes",
            "full-cuda-graph": "compilation-config, as JSON with cudagraph_mode",
            "rope-scaling": "hf-overrides, as JSON with rope_parameters",
            "rope-theta": "hf-overrides, as JSON with rope_parameters",
            "device": "nothing: the build decides (environment)",
            "preemption-mode": "nothing: preempted requests are computed again",
            "disable-mm-preprocessor-cache": "mm-processor-cache-gb: 0",
            "override-pooler-config": "pooler-config",
            # Another engine's words.
            "mem-fraction-static": "gpu-memory-utilization (this is SGLang's name)",
            "context-length": "max-model-len (this is SGLang's name)",
            "session-len": "max-model-len (this is LMDeploy's name)",
            "cache-max-entry-count": "gpu-memory-utilization (this is LMDeploy's name)",
        },
    ),
)

ENGINE = EngineAdapter(
    kind="vllm",
    title="vLLM",
    config=VllmEngine,
    command=command,
    launch=launch,
    key_env="VLLM_API_KEY",
    recipe="vllm-cuda",
    recipe_on_cores="vllm-cpu",
    num_ranks=lambda engine: engine.tensor_parallel_size * engine.pipeline_parallel_size,
    boot_sign=boot_sign,
    parse_counters=parse_counters,
    argument_words=2,
    renamed=RENAMED,
    wizard=Wizard(
        lines=wizard_lines,
        command="vllm",
        usual_model="builtin:smollm2-135m-instruct",
        is_parallel=True,
    ),
)

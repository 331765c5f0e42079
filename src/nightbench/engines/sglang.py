"""SGLang: the command line of `python -m sglang.launch_server`.

It takes an API key as an argument only, where every user could read it: it is served without one,
on 127.0.0.1.
"""

from __future__ import annotations

from typing import Literal

from nightbench.engines.adapter import EngineAdapter, Launch, Place
from nightbench.engines.options import HOST, PORT, options, sizes
from nightbench.engines.renames import gone
from nightbench.engines.wizard import Wizard, parallel_lines
from nightbench.suite.engines import (
    Args,
    EngineConfig,
    Environment,
    VariableNames,
    Variables,
)
from nightbench.suite.types import PositiveInt


class SglangEngine(EngineConfig):
    """SGLang, started by nightbench. `args`, `env`, `pass_env` as vLLM's."""

    kind: Literal["sglang"]
    environment: Environment | Literal["auto"] = "auto"
    tensor_parallel_size: PositiveInt = 1
    pipeline_parallel_size: PositiveInt = 1
    data_parallel_size: PositiveInt = 1
    args: Args = {}
    env: Variables = {}
    pass_env: VariableNames = ()

    @property
    def num_gpus(self) -> int:
        """GPUs the engine spans on one node."""
        return self.tensor_parallel_size * self.pipeline_parallel_size * self.data_parallel_size


READY_PATH = "/health"

_KEY = "nothing: it would be readable by every user of the machine"
_OWNED = {
    "model-path": "target.model",
    "model": "target.model",
    "served-model-name": "target.served_model_name",
    "host": HOST,
    "port": PORT,
    "api-key": _KEY,
    "admin-api-key": _KEY,
} | {
    name: f"engine.{size}_parallel_size"
    for size, names in {
        "tensor": ("tp", "tp-size", "tensor-parallel-size"),
        "pipeline": ("pp", "pp-size", "pipeline-parallel-size"),
        "data": ("dp", "dp-size", "data-parallel-size"),
    }.items()
    for name in names
}


def argv(
    engine: SglangEngine,
    model_path: str,
    served_model_name: str | None,
    host: str,
    port: int | str,
) -> tuple[str, ...]:
    """The whole command. Raises BadInput for `args` that nightbench sets itself."""
    return (
        *command(engine, model_path, served_model_name),
        *("--host", host, "--port", str(port)),
    )


def command(
    engine: SglangEngine, model_path: str, served_model_name: str | None
) -> tuple[str, ...]:
    """The command without its address, as a person would type it."""
    named = ("--served-model-name", served_model_name) if served_model_name else ()
    parallel = {
        "tp-size": engine.tensor_parallel_size,
        "pp-size": engine.pipeline_parallel_size,
        "dp-size": engine.data_parallel_size,
    }
    return (
        *("python3", "-m", "sglang.launch_server", "--model-path", model_path),
        *sizes(parallel),
        *options(engine.args, _OWNED),
        *named,
    )


def env(engine: SglangEngine) -> dict[str, str]:
    """Local weights need no hub; the suite's own variables are laid on top."""
    return {"HF_HUB_OFFLINE": "1"} | engine.env


def launch(engine: SglangEngine, place: Place) -> Launch:
    """What is started."""
    name = place.served_model_name
    return Launch(
        argv=argv(engine, place.model_path or "", name, place.host, place.port),
        env=env(engine),
        ready_path=READY_PATH,
    )


_PARSER = "the parser of SGLang 0.5.23"
RENAMED = gone(
    "0.5.23",
    _PARSER,
    {
        "enable-ep-moe": "ep-size",
        "enable-deepep-moe": "moe-a2a-backend: deepep",
        "enable-flashinfer": "attention-backend: flashinfer",
        "disable-flashinfer": "attention-backend: triton",
        "enable-torch-compile-max-bs": "torch-compile-max-bs",
        "cuda-graph-max-bs": "cuda-graph-max-bs-decode",
        "cuda-graph-bs": "cuda-graph-bs-decode",
        "max-model-len": "context-length (this is vLLM's name)",
        "gpu-memory-utilization": "mem-fraction-static (this is vLLM's name)",
        "max-num-seqs": "max-running-requests (this is vLLM's name)",
        "max-num-batched-tokens": "chunked-prefill-size (this is vLLM's name)",
        "enforce-eager": "disable-cuda-graph (this is vLLM's name)",
        "enable-expert-parallel": "ep-size (this is vLLM's name)",
        "enable-auto-tool-choice": "nothing: tool-call-parser is enough",
        "session-len": "context-length (this is LMDeploy's name)",
    },
)

ENGINE = EngineAdapter(
    kind="sglang",
    title="SGLang",
    config=SglangEngine,
    command=command,
    launch=launch,
    recipe="sglang",
    num_ranks=lambda engine: engine.tensor_parallel_size * engine.pipeline_parallel_size,
    argument_words=3,
    renamed=RENAMED,
    wizard=Wizard(lines=parallel_lines, is_parallel=True),
)

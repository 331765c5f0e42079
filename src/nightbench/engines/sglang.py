"""SGLang: the command line of `python -m sglang.launch_server`.

It takes an API key as an argument only, where every user could read it: it is served without one,
on 127.0.0.1.
"""

from __future__ import annotations

from nightbench.engines.options import HOST, PORT, options, sizes
from nightbench.suite.engines import SglangEngine

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

"""LMDeploy: the command line of its `serve api_server`.

It takes API keys as arguments only, where every user could read them: it is served without one, on
127.0.0.1.
"""

from __future__ import annotations

from nightbench.engines.options import HOST, PORT, options, sizes
from nightbench.suite.engines import LmdeployEngine

READY_PATH = "/health"

_OWNED = {
    "model-name": "target.served_model_name",
    "tp": "engine.tensor_parallel_size",
    "dp": "engine.data_parallel_size",
    "backend": "engine.backend",
    "server-name": HOST,
    "server-port": PORT,
    "api-keys": "nothing: it would be readable by every user of the machine",
}


def argv(
    engine: LmdeployEngine,
    model_path: str,
    served_model_name: str | None,
    host: str,
    port: int | str,
) -> tuple[str, ...]:
    """The whole command. Raises BadInput for `args` that nightbench sets itself."""
    return (
        *command(engine, model_path, served_model_name),
        *("--server-name", host, "--server-port", str(port)),
    )


def command(
    engine: LmdeployEngine, model_path: str, served_model_name: str | None
) -> tuple[str, ...]:
    """The command without its address, as a person would type it."""
    named = ("--model-name", served_model_name) if served_model_name else ()
    return (
        *("lmdeploy", "serve", "api_server", model_path, "--backend", engine.backend),
        *sizes({"tp": engine.tensor_parallel_size, "dp": engine.data_parallel_size}),
        *options(engine.args, _OWNED),
        *named,
    )


def env(engine: LmdeployEngine) -> dict[str, str]:
    """Local weights need no hub; the suite's own variables are laid on top."""
    return {"HF_HUB_OFFLINE": "1"} | engine.env

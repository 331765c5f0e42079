"""LMDeploy: the command line of its `serve api_server`.

It takes API keys as arguments only, where every user could read them: it is served without one, on
127.0.0.1.
"""

from __future__ import annotations

from typing import Literal

from nightbench.engines.adapter import EngineAdapter, Launch, Place
from nightbench.engines.options import HOST, PORT, options, sizes
from nightbench.engines.renames import Renamed, gone
from nightbench.engines.wizard import Wizard, parallel_lines
from nightbench.suite.engines import (
    Args,
    EngineConfig,
    Environment,
    VariableNames,
    Variables,
)
from nightbench.suite.types import PositiveInt


class LmdeployEngine(EngineConfig):
    """LMDeploy's `serve api_server`, started by nightbench. `args`, `env`, `pass_env` as vLLM's."""

    kind: Literal["lmdeploy"]
    environment: Environment | Literal["auto"] = "auto"
    backend: Literal["turbomind", "pytorch"] = "turbomind"
    tensor_parallel_size: PositiveInt = 1
    data_parallel_size: PositiveInt = 1
    args: Args = {}
    env: Variables = {}
    pass_env: VariableNames = ()

    @property
    def num_gpus(self) -> int:
        """GPUs the engine spans on one node."""
        return self.tensor_parallel_size * self.data_parallel_size


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


def launch(engine: LmdeployEngine, place: Place) -> Launch:
    """What is started."""
    name = place.served_model_name
    return Launch(
        argv=argv(engine, place.model_path or "", name, place.host, place.port),
        env=env(engine),
        ready_path=READY_PATH,
    )


_PARSER = "the parser of LMDeploy 0.18.0"
RENAMED = (
    *gone(
        "0.18.0",
        _PARSER,
        {
            "instance-num": "max-batch-size",
            "qos-config-path": "nothing: a proxy before the server does that",
            "use-logn-attn": "nothing: it is read from the model's config",
            "max-model-len": "session-len (this is vLLM's name)",
            "gpu-memory-utilization": "cache-max-entry-count (this is vLLM's name)",
            "mem-fraction-static": "cache-max-entry-count (this is SGLang's name)",
            "context-length": "session-len (this is SGLang's name)",
            "max-num-seqs": "max-batch-size (this is vLLM's name)",
            "enforce-eager": "eager-mode, with backend: pytorch (this is vLLM's name)",
            "quantization": "model-format (this is vLLM's name)",
            "kv-cache-dtype": "quant-policy (this is vLLM's name)",
            "enable-auto-tool-choice": "nothing: tool-call-parser is enough",
        },
    ),
    *(
        Renamed(
            option="tool-call-parser",
            value=value,
            since="0.18.0",
            instead="glm47",
            source=_PARSER,
        )
        for value in ("glm45", "glm4_moe")
    ),
)

ENGINE = EngineAdapter(
    kind="lmdeploy",
    title="LMDeploy",
    config=LmdeployEngine,
    command=command,
    launch=launch,
    recipe="lmdeploy",
    num_ranks=lambda engine: engine.tensor_parallel_size,
    argument_words=1,
    renamed=RENAMED,
    wizard=Wizard(lines=parallel_lines, command="lmdeploy", is_parallel=True),
)

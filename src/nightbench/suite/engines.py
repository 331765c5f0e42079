"""The engines a target can run on: strict, frozen models of a suite's `engine:`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from nightbench import addresses
from nightbench.secrets.values import has_userinfo, keys_in_words
from nightbench.suite.types import PositiveFloat, PositiveInt, Scalar, Seconds, Strict

ProviderName = Literal["siliconflow", "dashscope", "modelscope", "xunfei", "internlm"]

_IN_AN_ARGUMENT = (
    "expected no key and no password in what a program is started with: every user of this machine "
    "can read it, and it is stored with results. Put it into a variable: env or pass_env"
)


def words_without_keys(words: tuple[str, ...]) -> tuple[str, ...]:
    """For argv. Raises ValueError, without the key."""
    if keys_in_words(words):
        raise ValueError(_IN_AN_ARGUMENT)
    return words


def _args_without_keys(args: dict[str, Scalar | list[Scalar]]) -> dict[str, Scalar | list[Scalar]]:
    for name, value in args.items():
        values = value if isinstance(value, list) else [value]
        words_without_keys(tuple(f"--{name}={one}" for one in values if isinstance(one, str)))
    return args


def _requirement_without_keys(requirement: str) -> str:
    words_without_keys((requirement,))
    return requirement


Args = Annotated[dict[str, Scalar | list[Scalar]], AfterValidator(_args_without_keys)]


def _as_text(value: object) -> object:
    return {k: str(v) for k, v in value.items()} if isinstance(value, dict) else value


def _without_slash(value: object) -> object:
    return value.rstrip("/") if isinstance(value, str) else value


def _without_password(url: str) -> str:
    if has_userinfo(url):
        raise ValueError(
            "expected an address without user and password, which would be stored with results: "
            "name a variable in api_key_env, or give headers such as "
            "{Authorization: 'Basic ${LOGIN}'}; for pip, set PIP_EXTRA_INDEX_URL"
        )
    return url


def _address(url: str) -> str:
    addresses.checked(url)
    return url


def _variable_name(name: str) -> str:
    if not VARIABLE.fullmatch(name):
        raise ValueError("expected the name of an environment variable (not what it holds)")
    return name


VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
Variables = Annotated[dict[str, str], BeforeValidator(_as_text), Field(repr=False)]
VariableName = Annotated[str, AfterValidator(_variable_name)]
VariableNames = tuple[VariableName, ...]
Url = Annotated[
    str,
    BeforeValidator(_without_slash),
    Field(pattern=r"^https?://"),
    AfterValidator(_without_password),
    AfterValidator(_address),
]


class Environment(Strict):
    """Where an engine's executable comes from: exactly one of the three.

    An `image` is run by `docker run`, its API published on 127.0.0.1 alone.
    """

    requirement: Annotated[str, AfterValidator(_requirement_without_keys)] | None = None
    executable: str | None = None
    image: str | None = None
    extra_index_url: Annotated[str, AfterValidator(_without_password)] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Environment:
        if sum(x is not None for x in (self.requirement, self.executable, self.image)) != 1:
            raise ValueError("expected exactly one of requirement, executable, image")
        if self.extra_index_url is not None and self.requirement is None:
            raise ValueError("extra_index_url goes with requirement")
        return self


class RayCluster(Strict):
    """The Ray cluster that carries a model larger than a node: its head, as `ray start` names it.

    Only this node's share is leased here; the cluster's other nodes are Ray's.
    """

    address: str
    num_gpus_here: PositiveInt = 8


class VllmEngine(Strict):
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


class LmdeployEngine(Strict):
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


class SglangEngine(Strict):
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


class OllamaEngine(Strict):
    """Ollama: `ollama serve` with a port and a model store of its own, or, by `base_url`, one that
    runs already and is left as it is.

    `models` is another store, such as the one people pull into by hand. `env` takes Ollama's own
    settings (OLLAMA_CONTEXT_LENGTH, OLLAMA_NUM_PARALLEL, …).
    """

    kind: Literal["ollama"]
    executable: str = "ollama"
    models: str | None = None
    base_url: Url | None = None
    num_gpus: Annotated[int, Field(ge=0)] = 0
    parameters: dict[str, Scalar] = {}  # PARAMETER lines of a model created from a GGUF
    env: Variables = {}
    pass_env: VariableNames = ()

    @model_validator(mode="after")
    def _attached_or_started(self) -> OllamaEngine:
        given = self.model_fields_set - {"kind", "base_url"}
        if self.base_url is not None and given:
            raise ValueError(
                f"base_url attaches to an Ollama that runs: {', '.join(sorted(given))} is set there"
            )
        return self


class CommandEngine(Strict):
    """Any server by its argv; {port}, {host}, {model} and {served_model_name} are filled in.

    With an `environment` that names a requirement, its first word is looked for there.
    """

    kind: Literal["command"]
    argv: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(words_without_keys)]
    environment: Environment | None = None
    ready_path: str = "/health"
    num_gpus: Annotated[int, Field(ge=0)] = 0
    env: Variables = {}
    pass_env: VariableNames = ()

    @field_validator("argv")
    @classmethod
    def _takes_a_port(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        if not any("{port}" in part for part in argv):
            raise ValueError("expected {port} somewhere: nightbench chooses a free one")
        return argv

    @field_validator("environment")
    @classmethod
    def _by_requirement(cls, environment: Environment | None) -> Environment | None:
        if environment is not None and environment.requirement is None:
            raise ValueError("expected a requirement: argv itself names an executable or docker")
        return environment


class RemoteEngine(Strict):
    """An API that somebody else runs: nothing is started or stopped.

    A `provider` is where a known service is and which variable holds its key; what is given beside
    it wins. `${NAME}` in a header stands for what that variable holds. `base_url` is used as it is
    given; only one without a path gets /v1. `verify_tls: false` takes any certificate. One run at a
    time is at an address, unless it is `shared`.
    """

    kind: Literal["remote"]
    provider: ProviderName | None = None
    base_url: Url | None = None
    api_key_env: VariableName | None = None
    requests_per_second: PositiveFloat | None = None
    max_retries: Annotated[int, Field(ge=0)] | None = None
    first_answer_timeout_s: Seconds = 120
    shared: bool = False
    headers: Annotated[dict[str, str], Field(repr=False)] = {}
    verify_tls: bool = True

    @model_validator(mode="after")
    def _somewhere(self) -> RemoteEngine:
        if self.base_url is None and self.provider is None:
            raise ValueError("expected base_url or provider")
        return self


Engine = Annotated[
    VllmEngine | LmdeployEngine | SglangEngine | OllamaEngine | CommandEngine | RemoteEngine,
    Field(discriminator="kind"),
]
ENGINE_KINDS = ("vllm", "lmdeploy", "sglang", "ollama", "command", "remote")

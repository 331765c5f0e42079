"""The accepted configuration of a target, to be booted beside tonight's.

What it was is in the history: the suite's text of the run that was last accepted, and what that run
noted of its engine and model. Nothing is built, pulled or fetched for a control: what is gone is
said to be gone. Secrets are not in the history; they are tonight's, and the digest of the
configuration tells whether they are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nightbench.engines import target_engine
from nightbench.errors import NightbenchError
from nightbench.history.reading import History
from nightbench.history.run_results import read_facts
from nightbench.home.paths import Home
from nightbench.night.changed_facts import facts_of
from nightbench.night.run import config_digest
from nightbench.progress import ignore
from nightbench.secrets.values import REDACTED
from nightbench.serving import images
from nightbench.serving.provision import environments, models
from nightbench.serving.provision.environments import EngineEnvironment
from nightbench.suite import bounded_yaml
from nightbench.suite.file import SuiteFile, suite_of
from nightbench.suite.models import Suite, Target
from nightbench.verdicts.differences import changes, what_can_be_put_back

Facts = Mapping[str, str]


class NoControl(NightbenchError):
    """The accepted configuration cannot be booted, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The accepted configuration as it ran in a run; `built` None: as its suite's text says."""

    run_id: str
    target: Target
    base_dir: Path
    facts: Facts
    built: EngineEnvironment | None = None

    def refuse_another(self, booted: Facts) -> None:
        """Raises NoControl where what was booted is not what ran then: a file was replaced by
        another of the same name."""
        differs = what_can_be_put_back(self.facts, booted)
        if differs:
            raise NoControl(
                f"what was accepted is no longer here as it was: {', '.join(differs)} differ from "
                f"{self.run_id}"
            )


def find_control(
    history: History,
    home: Home,
    run_id: str,
    *,
    tonight: Target,
    tonight_file: SuiteFile,
    tonight_facts: Facts,
    has_gpu: bool,
) -> Control:
    """The target as it ran in `run_id`, ready to be booted. `tonight_facts`: what runs tonight.

    Raises NoControl where nothing differs that can be put back, or something of it is gone.
    """
    facts = facts_of(history, tonight.name, run_id)
    if not what_can_be_put_back(facts, tonight_facts):
        what = changes(facts, tonight_facts) or "nothing that is known of it"
        raise NoControl(f"what has changed cannot be put back: {what}")
    said = read_facts(history, run_id)
    if "suite_text" not in said:
        raise NoControl(f"the history does not say what {run_id} ran")
    then = target_then(said["suite_text"], tonight_file.text, tonight.name)
    if config_digest(then) != facts.get("config_digest"):
        raise NoControl(
            f"its configuration in {run_id} cannot be made again: a secret of it has changed, or "
            "this version of nightbench reads it otherwise"
        )
    refuse_what_would_be_fetched(then, tonight)
    base_dir = base_dir_then(said, tonight_file)
    built = environment_then(then, facts, home, has_gpu=has_gpu)
    then = with_model_then(then, facts, home, base_dir)
    return Control(run_id=run_id, target=then, base_dir=base_dir, facts=facts, built=built)


def base_dir_then(said: Facts, tonight: SuiteFile) -> Path:
    """Where the relative paths of a run's suite start here: that suite, edited since or sent by
    another node, is tonight's file where it has its name."""
    path = Path(said.get("suite_file", "."))
    return tonight.base_dir if path.stem == tonight.path.stem else path.parent


def refuse_what_would_be_fetched(then: Target, tonight: Target) -> None:
    """Raises NoControl for another model than tonight's of an engine that fetches models itself: it
    would, where it no longer has it."""
    engine = target_engine.adapter_of(then)
    if engine.provision and then.model != tonight.model:
        raise NoControl(f"{engine.title} fetches models itself, and may have to fetch {then.model}")


def target_then(text: str, tonight_text: str, name: str) -> Target:
    """The target of a suite's kept text, its hidden values as tonight's text has them."""
    for target in suite_then(text, tonight_text).targets:
        if target.name == name:
            return target
    raise NoControl(f"its suite of then has no target {name}")


def suite_then(text: str, tonight_text: str) -> Suite:
    """A suite's kept text, its hidden values as tonight's text has them. Raises NoControl where
    nothing reads it any more."""
    try:
        kept = bounded_yaml.parse(text).value
        tonight = bounded_yaml.parse(tonight_text).value if tonight_text else None
        return suite_of(_with_secrets(kept, tonight), "the suite of then")
    except (NightbenchError, bounded_yaml.YamlProblem) as error:
        said = str(error).splitlines()
        raise NoControl(f"its suite of then cannot be read: {said[-1].strip()}") from error


def _with_secrets(kept: Any, tonight: Any) -> Any:
    """What is hidden in `kept` comes from the same place of `tonight`; targets go by name."""
    if isinstance(kept, dict):
        there = tonight if isinstance(tonight, dict) else {}
        return {name: _with_secrets(each, there.get(name)) for name, each in kept.items()}
    if isinstance(kept, list):
        beside = tonight if isinstance(tonight, list) else []
        named = {one["name"]: one for one in beside if isinstance(one, dict) and "name" in one}
        return [
            _with_secrets(each, named.get(each.get("name")) if isinstance(each, dict) else None)
            for each in kept
        ]
    return tonight if kept == REDACTED and isinstance(tonight, str | int | float) else kept


def environment_then(
    target: Target, facts: Facts, home: Home, *, has_gpu: bool
) -> EngineEnvironment | None:
    """The very environment that the target ran in; None where its suite names an executable, or
    the engine has a way of its own."""
    engine, key = target_engine.adapter_of(target), facts.get("engine_environment")
    if key is None or engine.provision or not engine.is_built(target.engine):
        return None
    named = target_engine.environment_of(target)
    if named is not None and named.executable is not None:
        return None
    root = home.engines.resolve() / Path(key).name
    if named is not None and named.image is not None:
        docker, digest = images.find_docker(), facts.get("engine_image_digest", named.image)
        if not images.is_at_hand(docker, digest):
            raise NoControl(f"the image that was accepted is gone: {digest}")
        image = environments.of_image(digest, home, "cuda" if has_gpu else "cpu", ignore)
        return replace(image, key=key, cache=root / "cache")
    found = environments.read_ready(root)
    if found is None:
        raise NoControl(f"the engine environment that was accepted is gone: {key}")
    return found


def with_model_then(target: Target, facts: Facts, home: Home, base_dir: Path) -> Target:
    """The target with the revision of its model that it ran; nothing is fetched."""
    model, revision = target.model, facts.get("model_revision")
    if model is None or target_engine.adapter_of(target).provision:
        return target
    if revision is not None and model.startswith("hf:"):
        model = f"{model.partition('@')[0]}@{revision}"
    needed = models.is_fetched(model) or target_engine.adapter_of(target).needs_model
    if needed and models.at_hand(model, home, base_dir) is None:
        raise NoControl(f"the weights that were accepted are gone: {model}")
    return target.model_copy(update={"model": model})

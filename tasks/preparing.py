"""Before the boot clock starts: the engine's environment and the model are there."""

from __future__ import annotations

from pathlib import Path

from nightbench.home import Home
from nightbench.serving import environments, models
from nightbench.serving.environments import EngineEnvironment
from nightbench.suite import Target
from prefect import task
from prefect.cache_policies import NO_CACHE
from tasks.reporting import Reporter


@task(name="engine environment", cache_policy=NO_CACHE)
def prepare_environment(target: Target) -> EngineEnvironment | None:
    """Build or reuse the environment of the target's engine; None where it needs none."""
    return environments.ensure_for(target, Home.from_env(), on_progress=Reporter())


@task(name="model", cache_policy=NO_CACHE)
def prepare_model(
    target: Target, environment: EngineEnvironment | None, base_dir: Path
) -> Path | None:
    """Resolve the target's model to a folder on this machine, fetching or converting it first."""
    return models.resolve_for(
        target, Home.from_env(), environment, base_dir, on_progress=Reporter()
    )

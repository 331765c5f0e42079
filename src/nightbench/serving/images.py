"""Container images: the docker client, and an image that is there before the boot clock starts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from nightbench.engines import container
from nightbench.errors import BadInput, EngineEnvironmentError
from nightbench.progress import OnProgress, Progress
from nightbench.secrets.child_env import FOR_DOCKER, environment_for
from nightbench.secrets.redaction import Redactor

LAST_LINES = 5
REMOVAL_S = 30.0
_CONTAINER_ID = re.compile(r"[0-9a-f]{12,64}", re.ASCII)
_DIGEST = "{{if .RepoDigests}}{{index .RepoDigests 0}}{{else}}{{.Id}}{{end}}"


def find_docker() -> Path:
    """The docker client. Raises BadInput where there is none."""
    found = shutil.which("docker")
    if found is None:
        raise BadInput(
            "engine.environment.image needs docker, and there is no docker command",
            hint="Install docker, or use environment: {requirement: …} or {executable: …}.",
        )
    return Path(found)


def ensure(docker: Path, image: str, on_progress: OnProgress) -> str:
    """The image's digest; pulled now if it is not here. Raises EngineEnvironmentError."""
    digest = _inspect(docker, image)
    if digest is not None:
        return digest
    on_progress(Progress("environment", image, "pulling the image"))
    done = _run(docker, "pull", "--quiet", image)
    digest = _inspect(docker, image) if done.returncode == 0 else None
    if digest is None:
        said = Redactor.from_env()(done.stderr)
        last = "\n".join(f"  | {line}" for line in said.splitlines()[-LAST_LINES:])
        raise EngineEnvironmentError(
            f"the image {image} is not on this machine and could not be pulled:\n{last}",
            hint="Check its name, the registry login (docker login), and that docker is running.",
        )
    on_progress(Progress("environment", image, "the image is present"))
    return digest


def is_at_hand(docker: Path, image: str) -> bool:
    """Whether an image, by its name or its digest, is on this machine."""
    return _inspect(docker, image) is not None


def remove_container(docker: str, name: str) -> bool:
    """End and remove a container by its name; whether it is gone (one that never was, too)."""
    done = _within(REMOVAL_S, docker, "rm", "--force", "--volumes", name)
    return done is not None and (done.returncode == 0 or "no such container" in done.stderr.lower())


def remove_of_launch(launch_id: str) -> bool:
    """End and remove the containers that this user started for a launch, as their labels say;
    whether they are gone. By the docker that is found here, and no name from elsewhere."""
    docker = shutil.which("docker")
    if docker is None or not launch_id:
        return False
    listed = _within(REMOVAL_S, *container.list_argv(docker, labels(launch_id)))
    if listed is None or listed.returncode:
        return False
    ids = [word for word in listed.stdout.split() if _CONTAINER_ID.fullmatch(word)]
    return all(remove_container(docker, found) for found in ids)


def labels(launch_id: str) -> dict[str, str]:
    """What a container of ours is known by, later and by others."""
    return {"nightbench.launch": launch_id, "nightbench.owner": str(os.geteuid())}


def _within(seconds: float, *argv: str) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(
            argv,
            env=environment_for(FOR_DOCKER),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def _inspect(docker: Path, image: str) -> str | None:
    done = _run(docker, "image", "inspect", "--format", _DIGEST, image)
    return done.stdout.strip() or None if done.returncode == 0 else None


def _run(docker: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(docker), *arguments],
        env=environment_for(FOR_DOCKER),
        capture_output=True,
        text=True,
        check=False,
    )

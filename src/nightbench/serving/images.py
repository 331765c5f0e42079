"""Container images: the docker client, and an image that is there before the boot clock starts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from nightbench.errors import BadInput, EngineEnvironmentError
from nightbench.progress import OnProgress, Progress

LAST_LINES = 5
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
        last = "\n".join(f"  | {line}" for line in done.stderr.splitlines()[-LAST_LINES:])
        raise EngineEnvironmentError(
            f"the image {image} is not here and could not be pulled:\n{last}",
            hint="Check its name, the registry's login (docker login), and that docker runs.",
        )
    on_progress(Progress("environment", image, "the image is here"))
    return digest


def remove_container(docker: str, name: str) -> bool:
    """End and remove a container by its name; whether it is gone (one that never was, too)."""
    try:
        done = subprocess.run(
            [docker, "rm", "--force", "--volumes", name],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 or "no such container" in done.stderr.lower()


def _inspect(docker: Path, image: str) -> str | None:
    done = _run(docker, "image", "inspect", "--format", _DIGEST, image)
    return done.stdout.strip() or None if done.returncode == 0 else None


def _run(docker: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(docker), *arguments], capture_output=True, text=True, check=False)

"""An engine in a container: its own command, wrapped in `docker run`.

The client stays in the foreground and hands signals on; a container whose client was killed lives
on, so that its name is known before it starts and `remove` ends it by that name. Its labels say
whose it is and of which launch, to who finds it when all else is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

INSIDE_HOST = "0.0.0.0"  # noqa: S104 published on 127.0.0.1 alone
ID_FILE = "container.id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container to be run: by which client, from which image, under which name."""

    docker: str
    image: str
    name: str
    id_path: Path  # the client writes the container's id there
    labels: Mapping[str, str]


def run_argv(
    container: Container,
    command: Sequence[str],
    *,
    host: str,
    port: int,
    folders: Iterable[Path],
    cache: Path | None,
    variables: Iterable[str],
    gpu_uuids: Sequence[str],
) -> tuple[str, ...]:
    """`docker run` for an engine's command.

    Variables go by name only, their values stay in the client's environment: no key is in argv.
    Folders are mounted read-only under their own path, the cache writable.
    """
    mounts = [f"{folder}:{folder}:ro" for folder in folders]
    mounts += [f"{cache}:{cache}"] if cache else []
    # Docker reads the value as CSV: without the quotes the second GPU would be another option.
    gpus = ("--gpus", f'"device={",".join(gpu_uuids)}"') if gpu_uuids else ()
    return (
        *(container.docker, "run", "--rm", "--init"),
        *("--name", container.name, "--cidfile", str(container.id_path)),
        *("--publish", f"{host}:{port}:{port}"),
        *(word for item in container.labels.items() for word in ("--label", "=".join(item))),
        *("--ipc", "host"),  # the ranks of tensor parallelism share memory
        *gpus,
        *(word for mount in mounts for word in ("--volume", mount)),
        *(word for name in sorted(variables) for word in ("--env", name)),
        *("--entrypoint", command[0], container.image, *command[1:]),
    )


def remove_argv(container: Container) -> tuple[str, ...]:
    """Ends it and removes it, whatever state it is in."""
    return (container.docker, "rm", "--force", "--volumes", container.name)


def list_argv(docker: str, labels: Mapping[str, str]) -> tuple[str, ...]:
    """Prints the ids of the containers that have all the labels, whatever state they are in."""
    filters = (word for item in labels.items() for word in ("--filter", f"label={'='.join(item)}"))
    return (docker, "ps", "--all", "--quiet", "--no-trunc", *filters)


def folder_to_mount(model_path: Path) -> Path:
    """What of a model must be there inside: a hub's snapshot is links into the blobs beside it."""
    if model_path.parent.name == "snapshots":
        return model_path.parent.parent
    return model_path

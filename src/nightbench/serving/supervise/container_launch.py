"""A launch in a container, where the engine's environment is an image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from nightbench.engines import container
from nightbench.engines.adapter import Launch
from nightbench.home.private_files import make_private
from nightbench.serving import images
from nightbench.serving.hardware.leases import Lease
from nightbench.serving.probing import HOST
from nightbench.serving.provision.environments import EngineEnvironment

# The client's own, or said by --gpus: they mean nothing inside.
_OUTSIDE = ("PATH", "CUDA_VISIBLE_DEVICES")


def contained(
    launch: Launch,
    environment: EngineEnvironment,
    lease: Lease,
    *,
    model: str | None,
    port: int,
    launch_id: str,
    run_dir: Path,
    variables: Iterable[str],
) -> Launch:
    """The launch by `docker run`; one whose environment is no image, as it is.

    The cache's folder is made here: docker would make it root's.
    """
    if environment.image is None:
        return launch
    inside = container.Container(
        docker=str(environment.executable),
        image=environment.image,
        name=f"nightbench-{launch_id[:12]}",
        id_path=run_dir / container.ID_FILE,
        labels=images.labels(launch_id),
    )
    inside.id_path.unlink(missing_ok=True)  # of an attempt before this one: docker refuses it
    if environment.cache is not None:
        make_private(environment.cache)
    model_path = Path(model or "")
    argv = container.run_argv(
        inside,
        launch.argv,
        host=HOST,
        port=port,
        folders=[container.folder_to_mount(model_path)] if model_path.is_absolute() else [],
        cache=environment.cache,
        variables=[name for name in variables if name not in _OUTSIDE],
        gpu_uuids=[gpu.uuid for gpu in lease.gpus],
    )
    return replace(launch, argv=argv, container=inside)

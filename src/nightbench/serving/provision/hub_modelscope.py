"""Models from ModelScope (what VLLM_USE_MODELSCOPE did), by its own client, in its own cache."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nightbench.errors import DataError
from nightbench.serving.provision import hubs
from nightbench.serving.provision.hubs import FreeBytes, HubModel, Say

KEY = "MODELSCOPE_API_TOKEN"


def fetch(model: HubModel, *, say: Say, free: FreeBytes = hubs.free_bytes) -> Path:
    """The model's snapshot; where the hub does not answer, the one that is here.

    Raises DataError.
    """
    from modelscope_hub import compat

    try:
        sizes = _sizes(compat.LegacyHubApi(), model)
        left = hubs.formats_to_leave(sizes)
        total = sum(size for file, size in sizes.items() if not hubs.is_left(file, left))
        cached = _cached(model)
        missing = max(0, total - _size_of(cached))
        cache = Path(os.environ.get("MODELSCOPE_CACHE") or Path.home())
        hubs.refuse_full_disk(model, missing, cache, free)
        if missing:
            say(f"fetching {hubs.gigabytes(missing)}", None, None)
        return Path(
            compat.snapshot_download(
                model.repository, revision=model.revision, ignore_patterns=left
            )
        )
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001 - told apart below
        cached = _cached(model) if _status(error) is None else None
        if cached is not None:
            return cached
        raise _problem(model, error) from None


def cached(model: HubModel) -> Path | None:
    """The snapshot where it is here; the hub is not asked."""
    return _cached(model)


def _sizes(api: Any, model: HubModel) -> dict[str, int]:
    """The repository's files and their bytes."""
    files = api.get_model_files(model.repository, revision=model.revision, recursive=True)
    return {
        str(file["Path"]): int(file.get("Size") or 0)
        for file in files
        if file.get("Type") != "tree"
    }


def _cached(model: HubModel) -> Path | None:
    from modelscope_hub import compat

    try:
        path = Path(
            compat.snapshot_download(
                model.repository, revision=model.revision, local_files_only=True
            )
        )
    except Exception:  # noqa: BLE001 - the library's ways to say that it is not here
        return None
    return path if (path / "config.json").is_file() else None


def _size_of(folder: Path | None) -> int:
    if folder is None:
        return 0
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _status(error: BaseException) -> int | None:
    """The HTTP status that is behind an error, None where nothing was answered."""
    for cause in hubs.causes(error):
        status = getattr(cause, "status_code", None)
        status = status or getattr(getattr(cause, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
    return None


def _problem(model: HubModel, error: BaseException) -> DataError:
    status = _status(error)
    said = " ".join(str(cause) for cause in hubs.causes(error)).lower()
    if status == 404 and model.revision and "revision" in said:
        return hubs.no_revision(model)
    if status == 404:
        return hubs.not_there(model, KEY)
    return hubs.problem(model, error, status, KEY)

"""Models from the Hugging Face hub, by its own library and into its own cache: resumable, shared
with every other tool, and there without a network once they were fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nightbench.errors import DataError
from nightbench.serving.provision import hubs
from nightbench.serving.provision.hubs import FreeBytes, HubModel, Say

KEY = "HF_TOKEN"


def fetch(model: HubModel, *, say: Say, free: FreeBytes = hubs.free_bytes) -> Path:
    """The model's snapshot; where the hub does not answer, the whole one that is here.

    Raises DataError.
    """
    import huggingface_hub
    from huggingface_hub import constants, errors

    try:
        files = huggingface_hub.snapshot_download(
            model.repository, revision=model.revision, dry_run=True
        )
    except errors.DryRunError as error:
        return _from_cache(model, error.__cause__ or error)
    except Exception as error:  # noqa: BLE001 - told apart below, a dozen kinds
        raise _problem(model, error) from None
    left = hubs.formats_to_leave(file.filename for file in files)
    missing = [
        file for file in files if file.will_download and not hubs.is_left(file.filename, left)
    ]
    total = sum(file.file_size or 0 for file in missing)
    hubs.refuse_full_disk(model, total, Path(constants.HF_HUB_CACHE), free)
    if missing:
        say(f"fetching {len(missing)} files ({hubs.gigabytes(total)})", 0, None)
    try:
        path = huggingface_hub.snapshot_download(
            model.repository,
            revision=model.revision,
            ignore_patterns=left,
            tqdm_class=_bars(say, total),
        )
    except Exception as error:  # noqa: BLE001 - as above
        raise _problem(model, error) from None
    return Path(path)


def cached(model: HubModel) -> Path | None:
    """The whole snapshot where it is here; the hub is not asked."""
    try:
        return _from_cache(model, FileNotFoundError())
    except DataError:
        return None


def _from_cache(model: HubModel, cause: BaseException) -> Path:
    """What is here of a model whose hub does not answer. Raises DataError for the cause."""
    from huggingface_hub import errors

    try:
        path = _cached(model, hubs.OTHER_FORMATS)
        if not any(path.glob("*.safetensors")):
            path = _cached(model, ())
    except errors.IncompleteSnapshotError as error:
        raise DataError(
            f"model: {model} is only partly downloaded, and the hub cannot be reached",
            hint="Run again with a network connection: the download is resumed.",
        ) from error
    except (errors.LocalEntryNotFoundError, OSError):
        raise _problem(model, cause) from None
    return path


def _cached(model: HubModel, left: tuple[str, ...]) -> Path:
    import huggingface_hub

    return Path(
        huggingface_hub.snapshot_download(
            model.repository,
            revision=model.revision,
            local_files_only=True,
            ignore_patterns=list(left),
        )
    )


def _problem(model: HubModel, error: BaseException) -> DataError:
    import huggingface_hub
    from huggingface_hub import errors

    found = next((e for e in hubs.causes(error) if isinstance(e, errors.HfHubHTTPError)), error)
    if isinstance(found, errors.GatedRepoError):
        return DataError(
            f"model: {model} is gated", hint=f"Accept its terms on its page, then set {KEY}."
        )
    if isinstance(found, errors.RevisionNotFoundError):
        return hubs.no_revision(model)
    if isinstance(found, errors.RepositoryNotFoundError):
        return hubs.not_there(model, KEY)
    status = getattr(getattr(found, "response", None), "status_code", None)
    return hubs.problem(model, error, status, KEY, huggingface_hub.get_token())


def _bars(say: Say, total: int) -> type[Any]:
    """The library's progress bars, told to us instead of drawn; it names the bytes it receives."""
    from huggingface_hub.utils.tqdm import tqdm

    class Bars(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._is_transfer = str(kwargs.get("name", "")).endswith("transfer")
            super().__init__(*args, **(kwargs | {"file": _Silence()}))  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> bool | None:
            moved: bool | None = super().update(n)
            if self._is_transfer:
                say("fetching", int(self.n), total)
            return moved

    return Bars


class _Silence:
    """Where bars that nobody reads are drawn."""

    def write(self, _: str) -> int:
        return 0

    def flush(self) -> None:
        return None

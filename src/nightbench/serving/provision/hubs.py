"""What models of every hub share: which files are taken, whether the disk holds them, and one clear
message for everything that can be wrong."""

from __future__ import annotations

import errno
import fnmatch
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nightbench.errors import DataError
from nightbench.secrets.redaction import Redactor
from nightbench.terminal_text import safe_line

# The same weights in other formats, where a repository has them as safetensors too.
OTHER_FORMATS = (
    *("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack", "*.onnx", "*.ot", "*.gguf"),
    *("original/*", "onnx/*", "openvino/*", "coreml/*", "metal/*"),
)
SPARE_BYTES = 1 << 30  # a disk that is filled to its last byte stops everything else

Say = Callable[[str, int | None, int | None], None]
FreeBytes = Callable[[Path], int]


@dataclass(frozen=True, slots=True)
class HubModel:
    """A repository as a suite names it: `hf:org/name@revision`, `modelscope:org/name@revision`."""

    hub: str
    repository: str
    revision: str | None

    def __str__(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        return f"{self.hub}:{self.repository}{at}"


def parse(model: str) -> HubModel:
    """The repository a suite means. Raises DataError."""
    hub, _, rest = model.partition(":")
    repository, _, revision = rest.partition("@")
    parts = repository.split("/")
    if len(parts) != 2 or not all(parts):
        raise DataError(
            f"model: {model} does not name a repository",
            hint=f"Expected {hub}:organisation/name@revision.",
        )
    return HubModel(hub, repository, revision or None)


def formats_to_leave(files: Iterable[str]) -> list[str]:
    """Patterns of files that hold nothing new beside safetensors."""
    return list(OTHER_FORMATS) if any(file.endswith(".safetensors") for file in files) else []


def is_left(file: str, patterns: Iterable[str]) -> bool:
    """Whether a file matches one of the patterns."""
    return any(fnmatch.fnmatch(file, pattern) for pattern in patterns)


def free_bytes(folder: Path) -> int:
    """Bytes free on the disk that holds `folder`, or will."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def refuse_full_disk(model: HubModel, needed: int, folder: Path, free: FreeBytes) -> None:
    """Raise DataError where what is still to be fetched does not fit."""
    if needed == 0:
        return
    there = free(folder)
    if needed + SPARE_BYTES > there:
        raise DataError(
            f"model: {model} needs {gigabytes(needed)} more, and {folder} has "
            f"{gigabytes(there)} free",
            hint="Free some space, or move the hub's cache (HF_HOME, MODELSCOPE_CACHE).",
        )


def gigabytes(size_bytes: int) -> str:
    """A size for a person."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e8 else f"{size_bytes / 1e6:.1f} MB"


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came from."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


def not_there(model: HubModel, key: str) -> DataError:
    """The hub knows no such repository."""
    return DataError(
        f"model: there is no {model}, or it is private",
        hint=f"Check organisation and name; for a private one set {key}.",
    )


def no_revision(model: HubModel) -> DataError:
    """The repository is there, its revision is not."""
    return DataError(
        f"model: {model.hub}:{model.repository} has no revision {model.revision}",
        hint="Use an existing branch, tag or commit.",
    )


def problem(
    model: HubModel, error: BaseException, status: int | None, key: str, token: str | None = None
) -> DataError:
    """What else a hub, a network or a disk can do. `token`: what the hub was asked with."""
    if any(isinstance(e, OSError) and e.errno == errno.ENOSPC for e in causes(error)):
        return DataError(
            f"model: the disk is full, {model} could not be fetched",
            hint="Free some space and run again: the download is resumed.",
        )
    if status in (401, 403):
        return DataError(
            f"model: the hub refuses the key for {model} (HTTP {status})",
            hint=f"Check {key}, and that its owner has access to this model.",
        )
    if status == 429:
        return DataError(
            f"model: the hub limits the rate of requests ({model})",
            hint=f"Wait a few minutes and run again; with {key} set, the limit is higher.",
        )
    if status is not None:
        return DataError(f"model: the hub answers HTTP {status} for {model}", hint="Try later.")
    # The library may have read the token from its own file.
    redact = Redactor.from_env(os.environ, token or "")
    return DataError(
        f"model: {model} is not here, and the hub cannot be reached: {_last_cause(error, redact)}",
        hint="Check the network and proxies (HF_ENDPOINT, HTTPS_PROXY), or use a local folder.",
    )


def _last_cause(error: BaseException, redact: Redactor) -> str:
    root = list(causes(error))[-1]
    said = (str(root) or type(root).__name__).splitlines()[0]
    return safe_line(redact(said), max_chars=200)

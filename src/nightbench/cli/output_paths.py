"""Files that a command writes its results to, and the folder it works in."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nightbench.errors import BadInput, NightbenchError


def make_room_for(*paths: Path | None) -> None:
    """Make the folders of files that will be written, where only the last one is missing, and not
    at the root: that is a slip. Raises BadInput for a file that cannot be written: before hours
    are measured, not after."""
    for path in paths:
        if path is None:
            continue
        folder = path.absolute().parent
        try:
            if folder.parent != Path(folder.anchor):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise cannot_be_made(path, error.strerror) from None
        if not folder.is_dir():
            raise cannot_be_made(path, "no such folder")
        if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
            raise BadInput(f"{path} cannot be written", hint="Name another file.")


def cannot_be_made(path: Path, why: str | None) -> BadInput:
    """A file that cannot be written, as known beforehand."""
    return BadInput(f"{path} cannot be written: {why}: {path.parent}", hint="Name another file.")


def cannot_be_written(path: Path, error: OSError) -> NightbenchError:
    """What went wrong with a file, once there is something to write."""
    return NightbenchError(f"{path} cannot be written: {error.strerror or error}")


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for what a level sends and records; gone afterwards. Raises NightbenchError."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="nightbench-load-", ignore_cleanup_errors=True)
    except OSError as error:
        raise NightbenchError(
            f"no usable folder for temporary files: {error.strerror or error}",
            hint="Set TMPDIR to a folder with free space.",
        ) from None
    with folder as name:
        yield Path(name)

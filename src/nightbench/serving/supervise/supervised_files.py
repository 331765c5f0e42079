"""What guard and supervisor keep as long as an engine lives, and remove when it is gone: its lease
files, and its temporary folder. Little of the standard library only: it is part of their start."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MAX_PROCESSES = 1500  # of a record, so that a lease file stays below 64 KiB


def header(name: str) -> bytes:
    """The first line of a lease file: its own name."""
    return f"nightbench lease {name}\n".encode()


def lease_bytes(name: str, record: Mapping[str, Any]) -> bytes:
    """A whole lease file."""
    return header(name) + json.dumps(record).encode()


def write_lease(path: Path, fd: int, record: Mapping[str, Any]) -> None:
    """Put another record into a lease file that we hold. Raises OSError."""
    data = lease_bytes(path.name, record)
    os.pwrite(fd, data, 0)
    os.ftruncate(fd, len(data))


def remove_lease(path: Path, fd: int) -> None:
    """Remove a lease file that `fd` has open, unless it is removed already. Raises OSError."""
    if is_at(path, fd):
        path.unlink(missing_ok=True)


def remove_folder(path: Path, fd: int) -> None:
    """Empty a folder and remove it. By its descriptor: what lies under its name may be another's by
    now. What cannot be removed is left to the next sweep."""
    import shutil  # it takes longer than the rest of a supervisor's start

    try:
        with os.scandir(fd) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for name, is_folder in found:
            if is_folder:
                shutil.rmtree(name, ignore_errors=True, dir_fd=fd)
            else:
                os.unlink(name, dir_fd=fd)
        if is_at(path, fd):
            path.rmdir()
    except OSError:
        return


def is_at(path: Path, fd: int) -> bool:
    """Whether what `fd` has open still lies under that name."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(fd))
    except OSError:
        return False

"""Files of results that a command was asked for: known to be writable before anything is measured.

A measurement takes hours; a folder that is not there must not be found at its end.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from nightbench.errors import BadInput
from nightbench.terminal_text import escaped_controls

Write = Callable[[object], None]


@contextmanager
def result_file(path: Path | None) -> Iterator[Write]:
    """What writes a value to `path` as JSON, all of it or nothing; without a path, nowhere.

    Raises BadInput at once where it cannot be written, and leaves what was there until there is
    something to write.
    """
    if path is None:
        yield _nowhere
        return
    aside = None if _is_written_in_place(path) else _aside(path)
    try:
        with _opened(path, aside) as file:

            def write(value: object) -> None:
                try:
                    text = json.dumps(value, ensure_ascii=False, indent=2)
                    file.write(escaped_controls(text) + "\n")
                    file.flush()
                    if aside is not None:
                        aside.replace(path.resolve())
                except BrokenPipeError:
                    raise
                except OSError as error:
                    raise _cannot_be_written(path, error) from None

            yield write
    finally:
        if aside is not None:
            aside.unlink(missing_ok=True)


def _nowhere(_: object) -> None:
    """Nobody asked for a file."""


def _is_written_in_place(path: Path) -> bool:
    """A pipe, a terminal, what the shell has opened, or a file in a folder that is not ours."""
    there = path.resolve()
    if any(path.absolute().is_relative_to(folder) for folder in ("/dev", "/proc")):
        return True
    return there.exists() and (not there.is_file() or not os.access(there.parent, os.W_OK))


def _aside(path: Path) -> Path:
    there = path.resolve()
    return there.with_name(f".{there.name}.{os.getpid()}.part")


def _opened(path: Path, aside: Path | None) -> contextlib.AbstractContextManager[TextIO]:
    try:
        if path.exists() and not path.is_dir() and not os.access(path, os.W_OK):
            raise PermissionError(13, os.strerror(13))
        return (aside or path).open("w", encoding="utf-8")
    except OSError as error:
        raise _cannot_be_written(path, error) from None


def _cannot_be_written(path: Path, error: OSError) -> BadInput:
    return BadInput(
        f"{path} cannot be written: {error.strerror}",
        hint="Name a file in an existing folder, on a disk with free space.",
    )

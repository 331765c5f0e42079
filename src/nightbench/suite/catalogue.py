"""What a form offers to choose from: the suites there are by name, and their targets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from nightbench.errors import SuiteError
from nightbench.suite.file import read_suite, suites_by_name


def suite_names(environ: Mapping[str, str] = os.environ) -> list[str]:
    """The suites that can be chosen; one that cannot be read is not offered."""
    return list(_targets_of(environ)[0])


def target_names(environ: Mapping[str, str] = os.environ) -> list[str]:
    """The targets of all of them, each once, suite by suite."""
    chosen = _targets_of(environ)[0].values()
    return list(dict.fromkeys(name for names in chosen for name in names))


def unreadable_suites(environ: Mapping[str, str] = os.environ) -> dict[Path, str]:
    """The files among them that are no suite, and why."""
    return _targets_of(environ)[1]


def _targets_of(environ: Mapping[str, str]) -> tuple[dict[str, list[str]], dict[Path, str]]:
    targets, unreadable = {}, {}
    for name, path in suites_by_name(environ).items():
        try:
            targets[name] = list(_names_in(path, _stamp(path)))
        except SuiteError as error:
            unreadable[path] = str(error)
    return targets, unreadable


@cache
def _names_in(path: Path, stamp: tuple[int, ...]) -> tuple[str, ...]:
    """The targets of a suite file as it was at its `stamp`: each flow asks for each form."""
    return tuple(target.name for target in read_suite(path).suite.targets)


def _stamp(path: Path) -> tuple[int, ...]:
    """Changes when the file does; one that cannot be looked at has none: reading says why."""
    try:
        stat = path.stat()
    except OSError:
        return ()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns

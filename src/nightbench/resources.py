"""Where the files that are no Python live: SQL, suites, engine recipes.

An installed wheel carries them in `nightbench/_resources`; a checkout has them at its root.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_PACKAGED = _PACKAGE / "_resources"
_CHECKOUT = _PACKAGE.parent.parent


def sql_dir() -> Path:
    """Migrations, views, queries, checks and statements of the history."""
    return _resource("sql")


def suites_dir() -> Path:
    """The suites that come with nightbench."""
    return _resource("deployments") / "suites"


def suite_folders(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Where suites are found by name: NIGHTBENCH_SUITES where it is set, then those that ship."""
    own = environ.get("NIGHTBENCH_SUITES")
    return (Path(own).absolute(), suites_dir()) if own else (suites_dir(),)


def deployments_dir() -> Path:
    """The Prefect deployments that `nightbench up` registers."""
    return _resource("deployments")


def engine_recipes_dir() -> Path:
    """The recipes that build an engine's environment."""
    return _resource("infra/engines")


def _resource(path: str) -> Path:
    packaged = _PACKAGED / path
    return packaged if packaged.is_dir() else _CHECKOUT / path

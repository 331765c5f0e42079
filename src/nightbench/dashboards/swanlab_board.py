"""SwanLab's local dashboard as an app, to be served behind our door (`nightbench.web`).

SwanLab's own command serves it to every page and every user of the machine, and what it serves
reads files by any path that a request names.
"""

from __future__ import annotations

import os
from typing import Any


def create() -> Any:
    """The app over the store that the environment names, as SwanLab's command has it."""
    from swanboard.db import connect  # type: ignore[import-untyped]

    connect(path=os.environ["SWANLAB_LOG_DIR"])
    from swanboard.app import app  # type: ignore[import-untyped]

    return app

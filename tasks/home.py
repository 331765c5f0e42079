"""Where a flow run keeps what it makes."""

from __future__ import annotations

from prefect.logging import get_run_logger

from nightbench.history.private_home import own_home
from nightbench.home.paths import Home


def home_to_write() -> Home:
    """The home of this process, its owner's alone; what had to be changed for that is logged."""
    return own_home(say=get_run_logger().warning)

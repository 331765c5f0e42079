"""The home of a command that writes into it."""

from __future__ import annotations

import sys

from nightbench.home.paths import Home


def home_to_write() -> Home:
    """NIGHTBENCH_HOME, made its owner's alone; what that changed is said on stderr.

    Raises:
        BadInput: it is another user's, or others may write into it.
    """
    from nightbench.history.private_home import own_home

    return own_home(say=lambda text: print(f"nightbench: {text}", file=sys.stderr))

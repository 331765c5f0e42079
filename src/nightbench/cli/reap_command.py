"""`nightbench reap`: ends what dead runs left behind, where their leases prove it to be ours."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench reap`."""
    subparsers.add_parser("reap", help="end what dead runs left behind", description=__doc__)


def run(_args: argparse.Namespace) -> int:
    """End leftovers and say which. 1 if something resisted."""
    from nightbench.serving import leases, reaper

    where = leases.directory()
    found = reaper.reap(where)
    for state in found:
        subject = state.record.subject if state.record else ""
        pids = ", ".join(map(str, state.living))
        print(f"{state.path.stem}: {subject}: " + (f"ended {pids}" if pids else "nothing was left"))
    if not found:
        print(f"nothing was left behind ({where})")
    resisting = [state for state in reaper.states(where) if state.is_leftover]
    for state in resisting:
        pids = ", ".join(map(str, state.living))
        alive = f"still alive: {pids} (another user's? then they must reap it)"
        print(f"{state.path.stem}: " + (alive if pids else f"not leased again yet: {state.dirty}"))
    return 1 if resisting else 0

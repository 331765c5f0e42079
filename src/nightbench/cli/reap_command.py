"""`nightbench reap`: ends what dead runs of this user provably left behind."""

from __future__ import annotations

import argparse
from typing import Any

UNENDED = "its processes could not be ended"


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench reap`."""
    subparsers.add_parser("reap", help="end what dead runs left behind", description=__doc__)


def run(_args: argparse.Namespace) -> int:
    """End leftovers and say which. 1 if something resisted."""
    from nightbench.cli.lease_view import stray_lines
    from nightbench.serving.hardware import lease_folder, reaper

    where = lease_folder.directory()
    found = reaper.reap(where)
    for state in found:
        pids = ", ".join(map(str, sorted(state.standing.proven)))
        subject = state.subject or "a run that had barely started"
        print(f"{state.resource}: {subject}: " + (f"ended {pids}" if pids else "nothing was left"))
    if not found:
        print(f"nothing left behind ({where})")
    left, strays = reaper.survey(where)
    for state in left:
        if state.is_leftover and not state.living:
            print(f"{state.resource}: cannot be leased yet: {state.dirty or UNENDED}")
        elif state.living and not state.held:
            pids = ", ".join(map(str, state.living))
            print(f"{state.resource}: still alive: {pids}, of {state.owner} ({state.remedy()})")
    for name, said in stray_lines(strays):
        print(f"{name} {said}")
    return 1 if any(state.is_leftover for state in left) else 0

"""Leases and what else lies in their folder, as `doctor` and `reap` show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nightbench.terminal_text import safe_line

if TYPE_CHECKING:
    from nightbench.serving.hardware.lease_files import Stray
    from nightbench.serving.hardware.reaper import LeaseState

MOST_LINES = 100
MOST_STRAYS = 10


def lease_lines(states: Sequence[LeaseState]) -> list[tuple[str, str]]:
    """Who holds what, and what was left behind: name and text of each."""
    lines = [(state.resource, said) for state in states if (said := _said(state))]
    more = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], *([("", f"and {more} more")] if more > 0 else [])]


def _said(state: LeaseState) -> str:
    if state.held:
        port = f", port {state.record.port}" if state.record and state.record.port else ""
        return f"held: {state.describe()}{port}"
    if not (state.is_leftover or state.living or state.dirty):
        return ""
    pids = ", ".join(map(str, state.living)) or "no live process"
    dirty = f" ({state.dirty})" if state.dirty else ""
    whose = "" if state.file.is_mine else f" by {state.owner}"
    remedy = f"; {state.remedy()}" if state.living else ""
    return f"left behind{whose}: {pids}{dirty}{remedy}"


def stray_lines(strays: Sequence[Stray]) -> list[tuple[str, str]]:
    """What is left alone in the folder of leases, named; [] where there is nothing."""
    if not strays:
        return []
    named = [
        f"{safe_line(stray.path.name, max_chars=60)} ({stray.what})"
        for stray in strays[:MOST_STRAYS]
    ]
    more = len(strays) - MOST_STRAYS
    named += [f"and {more} more"] if more > 0 else []
    return [("not leases", f"ignored: {'; '.join(named)}")]

"""What a suite needs and this machine lacks, as commands say it before anything waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightbench.terminal_text import safe_line

if TYPE_CHECKING:
    from rich.console import Console

    from nightbench.suite.file import SuiteFile


def print_missing(console: Console, suite_file: SuiteFile, *, tell_to_fetch: bool = True) -> None:
    """Each thing once, and what brings it; nothing where nothing is missing."""
    from nightbench.home.paths import Home
    from nightbench.night.needs import missing
    from nightbench.serving.hardware.machine import this_machine

    found = missing(suite_file, Home.from_env(), has_gpu=this_machine().has_gpu)
    if not found:
        return
    console.print("\n[yellow]Missing on this machine[/yellow]")
    for need in found:
        console.print(f"  {need.what:<10} {safe_line(f'{need.name}: {need.how}')}", markup=False)
    if tell_to_fetch and any(need.is_fetchable for need in found):
        console.print(f"`nightbench fetch {suite_file.path}` brings what can be fetched.")

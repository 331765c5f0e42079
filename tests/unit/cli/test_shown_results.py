"""Results on a terminal: what servers, suites and other tools named is text, no markup either."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from nightbench.accuracy.result_table import accuracy_table
from nightbench.cli.results_view import print_results
from nightbench.load.summarize.level_table import levels_table, levels_text
from tests.unit.dashboards.a_run import ACCURACY, level, run, target

HOSTILE = "x\x1b[2J\x9b31m\u202e[red]y[/red]"


def shown(*things: object) -> str:
    out = io.StringIO()
    console = Console(file=out, width=200)
    for thing in things:
        console.print(thing)
    return out.getvalue()


def is_text(said: str) -> bool:
    return not set(said) & set("\x1b\x9b\u202e") and "[red]y[/red]" in said


def test_a_results_names_are_text() -> None:
    out = io.StringIO()
    hostile = target(HOSTILE, served_model_name=HOSTILE, status="failed", error=HOSTILE)
    print_results(run(hostile), Console(file=out, width=200))
    assert is_text(out.getvalue())


def test_a_levels_names_and_reasons_are_text() -> None:
    rows = [level(1, level=HOSTILE, valid=False, invalid_reasons=[HOSTILE])]
    assert is_text(shown(levels_table(rows)))
    assert is_text(levels_text(rows, HOSTILE, colours=False))


def test_a_benchmarks_names_and_reasons_are_text() -> None:
    row = replace(ACCURACY, benchmark=HOSTILE, subset="all", invalid_reasons=[HOSTILE])
    assert is_text(shown(accuracy_table([row])))

"""`nightbench show RUN`: one run with its targets, servers, accuracies and load levels."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from nightbench.cli.history_command import STATUS_STYLES, took
from nightbench.cli.sql_command import cell
from nightbench.errors import BadInput
from nightbench.home import Home

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from nightbench.history.database import Result
    from nightbench.history.reading import History

Record = Mapping[str, Any]


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench show`."""
    parser = subparsers.add_parser("show", help="one run", description=__doc__)
    parser.add_argument(
        "run_id", metavar="RUN", help="a run id or the beginning of one; `latest` for the newest"
    )


def run(args: argparse.Namespace) -> int:
    """Print one run."""
    from rich.console import Console

    from nightbench.history.reading import open_history

    console = Console(highlight=False)
    with open_history(Home.from_env()) as history:
        run_id = find_run(history, args.run_id)
        print_run(console, history, run_id)
    return 0


def find_run(history: History, given: str) -> str:
    """The run that is meant.

    Raises:
        BadInput: none begins like this, or several do.
    """
    from nightbench.history.sql_files import statement

    if given == "latest":
        newest = history.sql(statement("newest_run")).rows[0][0]
        if newest is None:
            raise BadInput("there is no run in the history yet")
        return str(newest)
    found = [str(r[0]) for r in history.sql(statement("run_ids_like"), prefix=given).rows]
    if given in found:
        return given
    if not found:
        raise BadInput(f"no run begins with {given!r}", hint="`nightbench history` lists them.")
    if len(found) > 1:
        some = ", ".join(found[:5]) + (" …" if len(found) > 5 else "")
        raise BadInput(f"{len(found)} runs begin with {given!r}: {some}")
    return found[0]


def print_run(console: Console, history: History, run_id: str) -> None:
    """The run's head, then per target what was served and measured."""
    told = {
        name: _records(history, f"run_{name}", run_id)
        for name in ("row", "targets", "servers", "accuracy", "levels")
    }
    _print_head(console, run_id, told["row"])
    for target in told["targets"]:
        name = target["target"]
        _print_target(console, target, [s for s in told["servers"] if s["target"] == name])
        accuracies = [a for a in told["accuracy"] if a["target"] == name]
        if accuracies:
            console.print(_accuracy_table(accuracies))
        levels = [level for level in told["levels"] if level["target"] == name]
        if levels:
            console.print(_level_table(levels))


def _records(history: History, name: str, run_id: str) -> list[Record]:
    result: Result = history.rows(name, run_id=run_id)
    return [dict(zip(result.columns, row, strict=True)) for row in result.rows]


def _print_head(console: Console, run_id: str, runs: Sequence[Record]) -> None:
    from rich.text import Text

    if not runs:
        console.print(Text(f"run {run_id} (its own row has not landed)"))
        return
    row = runs[0]
    status = str(row["status"])
    lasted = (
        (row["ended_at"] - row["started_at"]).total_seconds()
        if row["ended_at"] is not None
        else None
    )
    console.print(
        Text.assemble(
            ("run ", ""), (run_id, "bold cyan"), f"  {cell(row['suite'])}, night {row['night']}  ",
            (status, STATUS_STYLES.get(status, "yellow")), f"  {took(lasted)}",
        )
    )  # fmt: skip
    if row["error"]:
        console.print(Text(f"  {cell(row['error'], 2000)}", style="red"))
    facts = ("host", "git_commit", "flow_run_id", "nightbench_version")
    shown = ", ".join(f"{name} {cell(row[name])}" for name in facts if row[name])
    console.print(Text(f"  {shown}", style="dim"))


def _print_target(console: Console, target: Record, servers: Sequence[Record]) -> None:
    from rich.text import Text

    status = str(target["status"])
    console.print()
    console.print(
        Text.assemble(
            (str(target["target"]), "bold"), f"  {cell(target['model'])} on "
            f"{target['engine_kind']} {target['engine_version'] or ''}, "
            f"{cell(target['hardware_class']) or 'hardware unknown'}  ",
            (status, STATUS_STYLES.get(status, "yellow")),
        )
    )  # fmt: skip
    if target["error"]:
        console.print(Text(f"  {cell(target['error'], 2000)}", style="red"))
    for server in servers:
        gone = "clean" if server["teardown_clean"] else "not proven"
        boot = "did not boot" if server["boot_s"] is None else f"boot {server['boot_s']:.1f} s"
        line = f"  launch {server['launch']}: {boot}, {server['exit_reason']}, teardown {gone}"
        console.print(Text(line, style="dim"))


def _accuracy_table(rows: Sequence[Record]) -> Table:
    table = _table("accuracy", "subset", "accuracy", "95 %", "of", "no answer", "cut", "")
    for row in rows:
        table.add_row(
            cell(row["benchmark"]), cell(row["subset"]), f"{row['accuracy']:.3f}",
            f"{row['ci_low']:.3f}-{row['ci_high']:.3f}", cell(row["num_samples"]),
            cell(row["extraction_failed"]), cell(row["truncated"]), _doubtful(row),
        )  # fmt: skip
    return table


def _level_table(rows: Sequence[Record]) -> Table:
    table = _table("load", "level", "done", "req/s", "tok/s", "ttft ms", "tpot ms", "")
    for row in rows:
        failed = f" +{row['failed']} failed" if row["failed"] else ""
        table.add_row(
            cell(row["workload"]), cell(row["level"]), f"{row['completed']}{failed}",
            cell(row["request_throughput"]), cell(row["output_throughput"]),
            *(_typical_and_slow(row, family) for family in ("ttft", "tpot")),
            _doubtful(row),
        )  # fmt: skip
    table.caption = "latencies: median / 95th percentile"
    return table


def _typical_and_slow(row: Record, family: str) -> str:
    median, slow = row[f"median_{family}_ms"], row[f"p95_{family}_ms"]
    return "" if median is None else f"{_ms(median)} / {_ms(slow)}"


def _ms(value: float) -> str:
    """Milliseconds with the digits a person reads."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _table(*names: str) -> Table:
    from rich.table import Table

    table = Table(header_style="bold", box=None, padding=(0, 1, 0, 1), caption_style="dim")
    for number, name in enumerate(names):
        justify: Literal["left", "right"] = "left" if number < 2 or not name else "right"
        table.add_column(name, justify=justify, no_wrap=bool(name), overflow="fold")
    return table


def _doubtful(row: Record) -> str:
    """A number that is not to be judged says why."""
    return "" if row["valid"] else f"[yellow]invalid: {', '.join(row['invalid_reasons'])}[/yellow]"

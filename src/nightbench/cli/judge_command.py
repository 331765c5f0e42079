"""`nightbench judge RUN`: judge a run of the history against all runs before it. Verdicts are
stored only if they differ from those it has; the same history gives the same ones. (Every run is
judged at its end anyway.)

`nightbench judge --series FILE.csv --out VERDICTS.csv`: judge any series of nights, as they
would have been judged as they came. Reads a CSV with one row a target's night: night, node, target,
metric, better (lower or higher), valid, value, se, provenance (what ran) and accepted (what had
been accepted by then). Optional columns hold further measurements of that night, used only where
they are needed: rep (the same boot once more), fresh1 … (fresh boots) and ref1 … (fresh boots of
the accepted configuration).

Writes night, target, verdict (ok, inconclusive, regressed, improved, node, recovered), size_pct
with its 95 % interval lo_pct and hi_pct (positive is worse: 5 is latency × 1.05 or throughput
÷ 1.05) and since, the night it began.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightbench.cli.home_argument import home_to_write
from nightbench.errors import BadInput

if TYPE_CHECKING:
    from nightbench.verdicts.replay import JudgedRow, Replay


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench judge`."""
    parser = subparsers.add_parser(
        "judge",
        help="judge a run again, or any series of nights",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    judged = parser.add_mutually_exclusive_group(required=True)
    judged.add_argument(
        "run_id", nargs="?", metavar="RUN", help="a run id or a prefix of one; `latest`"
    )
    judged.add_argument("--series", type=Path, metavar="FILE.csv", help="CSV of nights, as above")
    parser.add_argument(
        "--out", type=Path, metavar="VERDICTS.csv", help="where to write their verdicts"
    )


def run(args: argparse.Namespace) -> int:
    """Judge the run, or the file."""
    if (args.series is None) != (args.out is None):
        raise BadInput(
            "--series and --out go together",
            hint="nightbench judge --series FILE.csv --out FILE.csv",
        )
    return _judge_run(args.run_id) if args.series is None else _judge_file(args)


def _judge_run(given: str) -> int:
    from rich.console import Console

    from nightbench.cli.results_view import print_verdicts
    from nightbench.history.ingest import land
    from nightbench.history.query_parameters import find_run
    from nightbench.history.reading import open_history
    from nightbench.night.judging import judge, keep

    home = home_to_write()
    with open_history(home) as history:
        run_id = find_run(history, given)
        judged = judge(history, run_id)
        kept = keep(history, home.spool, run_id, judged)
    if kept is not None:
        land(home)
    print_verdicts(judged.rows, Console(highlight=False))
    print("landed" if kept is not None else "nothing new: the history says the same already")
    return 0


def _judge_file(args: argparse.Namespace) -> int:
    """Judge the file, write the verdicts, say what was found."""
    from nightbench.verdicts.replay import judge_series
    from nightbench.verdicts.series_file import read_series, write_verdicts

    replay = judge_series(read_series(args.series))
    write_verdicts(args.out, (row.cells() for row in replay.rows))
    for line in summary(replay):
        print(line)
    return 0


def summary(replay: Replay) -> list[str]:
    """A line for each event, and one for what measuring again took."""
    lines = []
    opened: dict[str, str] = {}
    for row in sorted(replay.rows, key=lambda row: (row.target, row.night)):
        word = row.verdict if row.verdict in ("regressed", "improved", "node") else ""
        if word and opened.get(row.target) != word:
            lines.append(_event_line(row))
        opened[row.target] = word
    nights = len({row.night for row in replay.rows})
    targets = len({row.target for row in replay.rows})
    lines.append(
        f"{targets} targets over {nights} nights; measured again: {replay.repeats} repeats, "
        f"{replay.boots} boots (cost {replay.cost:.0f}, 1 a repeat, 6 a boot)"
    )
    return lines


def _event_line(row: JudgedRow) -> str:
    size = ""
    if row.size_pct is not None:
        size = f" {row.size_pct:+.1f} % ({row.lo_pct:+.1f} … {row.hi_pct:+.1f})"
    word = "the whole node is off" if row.verdict == "node" else row.verdict
    return f"{row.target}: {word}{size} since night {row.since}, seen on night {row.night}"

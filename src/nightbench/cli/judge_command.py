"""`nightbench judge`: judge series of nights, as they would have been judged as they came.

Reads a CSV with one row a target's night: night, node, target, metric, better (lower or higher),
valid, value, se, provenance (what ran) and accepted (what had been accepted by then). Optional
columns hold further measurements of that night, used only where they are needed: rep (the same boot
once more), fresh1 … (fresh boots) and ref1 … (fresh boots of the accepted configuration).

Writes night, target, verdict (ok, inconclusive, regressed, improved, node, recovered), size_pct
with its 95 % interval lo_pct and hi_pct (positive is worse: 5 is latency × 1.05 or throughput
÷ 1.05) and since, the night it began.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nightbench.verdicts.replay import JudgedRow, Replay


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench judge`."""
    parser = subparsers.add_parser(
        "judge",
        help="judge anybody's series of nights",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--series", required=True, type=Path, metavar="FILE.csv", help="the nights, see above"
    )
    parser.add_argument(
        "--out", required=True, type=Path, metavar="VERDICTS.csv", help="the verdicts go there"
    )


def run(args: argparse.Namespace) -> int:
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
    word = "its node is off" if row.verdict == "node" else row.verdict
    return f"{row.target}: {word}{size} since night {row.since}, seen on night {row.night}"

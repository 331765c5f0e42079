"""`nightbench land`: ingest what runs have spooled into the history."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from nightbench.cli.home_argument import home_to_write
from nightbench.errors import BadInput
from nightbench.terminal_text import safe_line, safe_text

if TYPE_CHECKING:
    from nightbench.history.ingest import LandingReport


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench land`."""
    parser = subparsers.add_parser(
        "land", help="ingest spooled results into the history", description=__doc__
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long to wait for another ingest (60)",
    )

    parser.add_argument(
        "--keep-chunk-nights",
        type=int,
        metavar="N",
        help="how many of the newest nights keep their chunk times (90)",
    )
    parser.add_argument(
        "--rebuild", action="store_true", help="rebuild the whole history from the stored files"
    )
    parser.add_argument(
        "--without-damaged", action="store_true", help="rebuild even if stored folders are damaged"
    )


def run(args: argparse.Namespace) -> int:
    """Recover what dead runs left, land everything, say what happened."""
    if args.rebuild:
        return _rebuild(args)
    from nightbench.history.damage import Damaged
    from nightbench.history.ingest import land
    from nightbench.history.spool.writer import recover
    from nightbench.history.store import Retention

    home = home_to_write()
    retention = Retention()
    if args.keep_chunk_nights is not None:
        if args.keep_chunk_nights < 1:
            raise BadInput("--keep-chunk-nights: expected 1 or more")
        retention = Retention({"load_chunks": args.keep_chunk_nights})
    damaged: list[Damaged] = []
    for folder in recover(home.spool, on_damaged=damaged.append):
        print(safe_line(f"recovered {folder.parent.name}/{folder.stem} of a dead run"))
    report = land(home, deadline_s=args.wait, retention=retention, check_copy=True)
    damaged += report.damaged
    print(summary(report))
    for reason in dict.fromkeys(one.reason for one in damaged):
        print(safe_text(f"not ingested: {reason}"), file=sys.stderr)
    for finding in report.findings:
        print(safe_text(f"check {finding.check} failed: {finding.detail}"), file=sys.stderr)
    return 1 if damaged else 0


def _rebuild(args: argparse.Namespace) -> int:
    from nightbench.history.open_store import open_store

    store = open_store(home_to_write())
    report = store.rebuild(without_damaged=args.without_damaged, deadline_s=args.wait)
    print(f"rebuilt from {report.folders} folders, {report.row_count} rows")
    for damaged in report.damaged:
        print(safe_text(f"left out: {damaged}"), file=sys.stderr)
    for note in report.notes:
        print(safe_text(f"unusable: {note}"), file=sys.stderr)
    return 1 if report.damaged else 0


def summary(report: LandingReport) -> str:
    """One line on what landed."""
    if not report.landed and not report.already:
        return "the read copy was renewed" if report.published else "nothing to ingest"
    again = f", {len(report.already)} had already been ingested" if report.already else ""
    return f"ingested {len(report.landed)} folders, {report.row_count} rows{again}"

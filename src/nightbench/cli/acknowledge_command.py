"""`nightbench acknowledge EVENT --owner NAME --ticket ID --until DATE`: take on an event.

The event stays open and out of the baseline; until that date the morning message does not
report it as new, and `run --gate` does not fail because of it.
"""

from __future__ import annotations

import argparse
from datetime import date
from typing import Any

from nightbench.cli.author_argument import add_author, author_of
from nightbench.cli.home_argument import home_to_write
from nightbench.terminal_text import safe_line


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench acknowledge`."""
    parser = subparsers.add_parser(
        "acknowledge",
        help="assign an owner to an event and silence it until a date",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("event", metavar="EVENT", help="a name from `nightbench events`")
    parser.add_argument("--owner", required=True, metavar="NAME", help="who is handling it")
    parser.add_argument("--ticket", required=True, metavar="ID", help="where it is tracked")
    parser.add_argument(
        "--until",
        required=True,
        type=_date,
        metavar="DATE",
        help="silence it until then, e.g. 2026-12-24",
    )
    add_author(parser, reason="what is known so far", needed=False)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2026-12-24") from None


def run(args: argparse.Namespace) -> int:
    """Record it."""
    from nightbench.night.annotating import Remark, say_of_event

    remark = Remark(
        kind="acknowledged",
        reason=args.reason,
        author=author_of(args),
        owner=args.owner,
        ticket=args.ticket,
        quiet_until=args.until,
    )
    event = say_of_event(home_to_write(), args.event, remark)
    said = f"{event.event} acknowledged: {args.owner} ({args.ticket}), silenced until {args.until}"
    print(safe_line(said))
    return 0

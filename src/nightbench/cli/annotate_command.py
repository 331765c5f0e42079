"""`nightbench annotate TARGET --reason TEXT`: a note on a target, or with --event on an event.

It changes no verdict. It is stored in the table `annotations`, with its author and time.
"""

from __future__ import annotations

import argparse
from typing import Any

from nightbench.cli.author_argument import add_author, author_of
from nightbench.cli.home_argument import home_to_write
from nightbench.terminal_text import safe_line


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench annotate`."""
    parser = subparsers.add_parser(
        "annotate",
        help="a note on a target or an event",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    meant = parser.add_mutually_exclusive_group(required=True)
    meant.add_argument("target", nargs="?", metavar="TARGET")
    meant.add_argument("--event", metavar="EVENT", help="a name from `nightbench events`")
    add_author(parser, reason="the note")


def run(args: argparse.Namespace) -> int:
    """Write it down."""
    from nightbench.night.annotating import Remark, say_of_event, say_of_target

    remark = Remark(kind="note", reason=args.reason, author=author_of(args))
    if args.event:
        say_of_event(home_to_write(), args.event, remark)
    else:
        say_of_target(home_to_write(), args.target, remark)
    print(safe_line(f"noted for {args.event or args.target}"))
    return 0

"""`nightbench accept TARGET|EVENT --reason TEXT`: accept a change as the new baseline.

The change of an event (or every open event of a target) becomes the new baseline, from its
first night on: the event is closed, and the next run is compared against it. Where nothing is
open, the configuration the target ran last is accepted. `nightbench events` lists what is
open.
"""

from __future__ import annotations

import argparse
from typing import Any

from nightbench.cli.author_argument import add_author, author_of
from nightbench.cli.home_argument import home_to_write
from nightbench.terminal_text import safe_line


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench accept`."""
    parser = subparsers.add_parser(
        "accept",
        help="accept a change as the new baseline",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", metavar="TARGET|EVENT", help="a name from `nightbench events`")
    add_author(parser, reason="why the change is acceptable")


def run(args: argparse.Namespace) -> int:
    """Accept, and say what was."""
    from nightbench.night.annotating import Remark, accept

    remark = Remark(kind="accepted", reason=args.reason, author=author_of(args))
    for row in accept(home_to_write(), args.what, remark):
        meant = f"event {row.event}" if row.event else "its last configuration"
        print(safe_line(f"accepted for {row.target}: {meant}; the next run is compared against it"))
    return 0

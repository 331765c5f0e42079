"""`nightbench accept TARGET|EVENT --reason TEXT`: this is how it is from now on.

The change of an event (or everything that is open of a target) becomes the new level, from its
first night on: the event is closed, and the next run is held against that level. Where nothing is
open, what the target ran last becomes the accepted configuration. `nightbench events` lists what is
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
        help="take a change for the new level",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", metavar="TARGET|EVENT", help="as `nightbench events` has it")
    add_author(parser, reason="why it is all right")


def run(args: argparse.Namespace) -> int:
    """Accept, and say what was."""
    from nightbench.night.annotating import Remark, accept

    remark = Remark(kind="accepted", reason=args.reason, author=author_of(args))
    for row in accept(home_to_write(), args.what, remark):
        meant = f"event {row.event}" if row.event else "what it ran last"
        print(safe_line(f"accepted for {row.target}: {meant}; the next run is held against it"))
    return 0

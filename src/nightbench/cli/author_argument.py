"""Who says something about the history, and why."""

from __future__ import annotations

import argparse
import getpass

from nightbench.errors import BadInput


def add_author(parser: argparse.ArgumentParser, *, reason: str, needed: bool = True) -> None:
    """--reason and --author."""
    parser.add_argument(
        "--reason", required=needed, default="(none given)", metavar="TEXT", help=reason
    )
    parser.add_argument("--author", metavar="NAME", help="your name (default: the logged-in user)")


def author_of(args: argparse.Namespace) -> str:
    """Who says so. Raises BadInput where nobody can be told."""
    if not args.reason.strip():
        raise BadInput(
            "--reason is empty", hint="Give the reason in a sentence; others will read it."
        )
    if args.author:
        return str(args.author)
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise BadInput("cannot tell who is logged in", hint="Pass --author NAME.") from None

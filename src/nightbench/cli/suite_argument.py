"""How commands take a suite: a file, the name of one that ships, or nothing for the starter."""

from __future__ import annotations

import argparse

from nightbench.suite.file import SuiteFile, find_suite, read_suite

DEFAULT_SUITE = "starter"


def add_suite_argument(parser: argparse.ArgumentParser) -> None:
    """The positional SUITE."""
    parser.add_argument(
        "suite",
        nargs="?",
        default=DEFAULT_SUITE,
        metavar="SUITE",
        help="a suite file, or the name of one that ships with nightbench (default: starter)",
    )


def add_suites_argument(parser: argparse.ArgumentParser) -> None:
    """The positional SUITE…, as a list."""
    parser.add_argument(
        "suites",
        nargs="*",
        default=[DEFAULT_SUITE],
        metavar="SUITE",
        help="suite files, or names of those that ship with nightbench (default: starter)",
    )


def suite_from(suite: str) -> SuiteFile:
    """Read the suite an argument means."""
    return read_suite(find_suite(suite))

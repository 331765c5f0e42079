"""Numbers as people type them: within what they can be, or told at once."""

from __future__ import annotations

import argparse

_MOST_PORT = 65535


def port(text: str) -> int:
    """A TCP port. Raises ArgumentTypeError, which argparse tells."""
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= _MOST_PORT):
        raise argparse.ArgumentTypeError(f"{text} is not a port: expected 1 to {_MOST_PORT}")
    return int(text)


def port_or_any(text: str) -> int:
    """A TCP port, or 0 for a free one. Raises ArgumentTypeError, which argparse tells."""
    return 0 if text == "0" else port(text)


def count(text: str) -> int:
    """How many: 1 or more. Raises ArgumentTypeError, which argparse tells."""
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 10**9):
        raise argparse.ArgumentTypeError(f"{text}: expected a number of 1 or more")
    return int(text)

"""A command on a terminal: it tells a person more than it writes into a file."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

SIGN_IN = re.compile(r"http://\S+/sign-in#\S+")


def on_a_terminal(argv: Sequence[str], env: Mapping[str, str]) -> str:
    """What a command that ends by itself, and well, says there."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(argv, env=env, stdout=theirs) as process:
        os.close(theirs)
        said = b""
        with suppress(OSError):  # how a terminal says that nobody writes to it any more
            while part := os.read(ours, 4096):
                said += part
        os.close(ours)
    assert process.returncode == 0
    return said.decode()


def sign_in_address(said: str) -> str:
    """The address that signs a browser in, of what a command has said."""
    found = SIGN_IN.search(said)
    assert found is not None, said
    return found[0]

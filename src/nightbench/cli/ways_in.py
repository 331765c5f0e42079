"""What `nightbench up` tells a person about getting in."""

from __future__ import annotations

from pathlib import Path

from nightbench.cli.prefect_access import AUTH_NAMES, Password
from nightbench.web.sign_in import PATH, Tokens

OPEN = """\
warning: no password is asked for. Whoever reaches {where} can start and stop runs, see every result
  and every secret that is kept in a Prefect block, and have programs run as this user.
  (Pages of other origins, and names that are not this server's, are refused all the same.)"""


def ways_in(url: str, password: Password | None, tokens: Path, *, is_terminal: bool) -> list[str]:
    """The lines that say where the UI is and how to get in. `url` is the UI's.

    What would let others in is for a terminal's eyes: a journal or a file is read by more people.
    """
    if password is None:
        return [f"Prefect UI   {url}"]
    lines = [f"Prefect UI   {url}"]
    if is_terminal:
        lines = [
            f"Prefect UI   {url}{PATH}#{Tokens(tokens).make()}",
            "             (signs a browser in: once, and until this time tomorrow)",
        ]
    if password.kept_in is None:
        return [*lines, f"Password     as {AUTH_NAMES[0]} says"]
    if is_terminal and password.is_new:
        return [
            *lines,
            f"Password     {password.auth}",
            f"             (all of it; kept in {password.kept_in}, and not shown again)",
        ]
    return [*lines, f"Password     in {password.kept_in}"]


def open_to(host: str, *, is_loopback: bool) -> str:
    """What --no-auth opens, and to whom."""
    where = "this machine" if is_loopback else host
    return OPEN.format(where=where)

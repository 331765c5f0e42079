"""What a command that serves a page tells a person about getting in.

What would let others in is for a terminal's eyes: a journal or a file is read by more people.
"""

from __future__ import annotations

from pathlib import Path

from nightbench.cli.passwords import Password
from nightbench.web.sign_in import PATH, Tokens

OPEN = """\
warning: no password is required. Whoever reaches {where} can start and stop runs, see every result
  and every secret that is kept in a Prefect block, and have programs run as this user.
  (Pages of other origins, and names that are not this server's, are refused all the same.)"""
LASTS = "(signs a browser in; works once, within 24 hours)"


def address(url: str, tokens: Path, *, is_terminal: bool) -> str:
    """Where the page is; for a terminal, an address that signs a browser in."""
    return f"{url}{PATH}#{Tokens(tokens).make()}" if is_terminal else url


def password_lines(password: Password, *, is_terminal: bool) -> tuple[str, ...]:
    """What the page asks for where it was not opened by such an address; shown when it is new."""
    if password.kept_in is None:
        return ("as set in the environment",)
    if is_terminal and password.is_new:
        return (
            password.auth,
            f"(all of it; kept in {password.kept_in}, and not shown again)",
        )
    return (f"in {password.kept_in}",)


def open_to(host: str, *, is_loopback: bool) -> str:
    """What --no-auth opens, and to whom."""
    where = "this machine" if is_loopback else host
    return OPEN.format(where=where)

"""Passwords that nightbench makes for a web server of its own and keeps for its user alone."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from nightbench.errors import NightbenchError
from nightbench.home.private_files import private_folder, read_private, write_private_once

USER = "nightbench"
BYTES = 24


@dataclass(frozen=True, slots=True)
class Password:
    """A `user:password` and where it is from."""

    auth: str = field(repr=False)
    kept_in: Path | None = None  # None where the environment has it
    is_new: bool = False


def new_auth() -> str:
    """A `user:password` that nobody guesses."""
    return f"{USER}:{secrets.token_urlsafe(BYTES)}"


def kept_or_new(file: Path) -> Password:
    """The password that is kept in the file; made where there is none yet. The file's folder is
    closed to others.

    Raises:
        NightbenchError: others could have read or changed the file, or it holds no password.
    """
    private_folder(file.parent, but=file)
    auth = kept(file)
    if auth is not None:
        return Password(auth, file)
    auth = new_auth()
    if write_private_once(file, auth + "\n"):
        return Password(auth, file, is_new=True)
    return kept_or_new(file)  # another process was quicker


def kept(file: Path) -> str | None:
    """The `user:password` in the file, None where there is no file.

    Raises NightbenchError as `kept_or_new` does.
    """
    said = read_private(file)
    if said is None:
        return None
    auth = said.strip()
    user, colon, password = auth.partition(":")
    if not (user and colon and password and auth.isprintable() and auth.isascii()):
        raise NightbenchError(
            f"{file} holds no user:password", hint="Remove it; the next start creates a new one."
        )
    return auth

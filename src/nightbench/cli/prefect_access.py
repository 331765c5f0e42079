"""The password of the Prefect server that we start, and how our own processes say it.

`user:password`, as Prefect wants it. Whoever has it may run programs through the server's workers,
so it is made by the first `nightbench up` and kept where its user alone can read it, unless the
environment brings one. It is handed on in environments, never as an argument.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nightbench.cli.private_files import private_folder, read_private, write_private_once
from nightbench.errors import NightbenchError
from nightbench.home import Home

AUTH_NAMES = ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING")
USER = "nightbench"
BYTES = 24


@dataclass(frozen=True, slots=True)
class PrefectAccess:
    """Where a Prefect API answers, and the `user:password` that it asks for, if it does."""

    url: str
    auth: str | None = field(default=None, repr=False)

    def environment(self) -> dict[str, str]:
        """What tells Prefect's client."""
        return {"PREFECT_API_URL": self.url} | ({AUTH_NAMES[1]: self.auth} if self.auth else {})


@dataclass(frozen=True, slots=True)
class Password:
    """A `user:password` and where it is from."""

    auth: str = field(repr=False)
    kept_in: Path | None = None  # None where the environment has it
    is_new: bool = False


def auth_string(environ: Mapping[str, str] = os.environ) -> str | None:
    """`user:password` of Prefect's basic authentication, from the environment alone."""
    return next((environ[name] for name in AUTH_NAMES if environ.get(name)), None)


def new_auth() -> str:
    """A `user:password` that nobody guesses."""
    return f"{USER}:{secrets.token_urlsafe(BYTES)}"


def password_file(home: Home) -> Path:
    """Where the password of a home's server is kept."""
    return home.prefect / "password"


def sign_in_folder(home: Home) -> Path:
    """Where the tokens lie that sign a browser in."""
    return home.prefect / "sign-in"


def known_auth(home: Home, environ: Mapping[str, str] = os.environ) -> str | None:
    """The `user:password` of the home's server: the environment's, else the one that is kept.

    Raises:
        NightbenchError: others could have read or changed the file.
    """
    return auth_string(environ) or _kept(home)


def password_of(home: Home, environ: Mapping[str, str] = os.environ) -> Password:
    """As `known_auth`; made and kept where there is none yet."""
    given = auth_string(environ)
    if given:
        return Password(given)
    file = password_file(home)
    private_folder(home.prefect, but=file)
    kept = _kept(home)
    if kept is not None:
        return Password(kept, file)
    auth = new_auth()
    if write_private_once(file, auth + "\n"):
        return Password(auth, file, is_new=True)
    return password_of(home, environ)  # somebody else's `up` was quicker


def _kept(home: Home) -> str | None:
    file = password_file(home)
    said = read_private(file)
    if said is None:
        return None
    auth = said.strip()
    user, colon, password = auth.partition(":")
    if not (user and colon and password and auth.isprintable() and auth.isascii()):
        raise NightbenchError(
            f"{file} holds no user:password", hint="Remove it; the next `nightbench up` makes one."
        )
    return auth

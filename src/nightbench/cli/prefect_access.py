"""The password of the Prefect server that we start, and how our own processes say it.

`user:password`, as Prefect wants it. Whoever has it may run programs through the server's workers,
so it is made by the first `nightbench up` and kept where its user alone can read it, unless the
environment brings one. It is handed on in environments, never as an argument.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from nightbench.cli.passwords import Password, kept, kept_or_new
from nightbench.home.paths import Home
from nightbench.secrets.child_env import past_proxies

OWN_NAME = "NIGHTBENCH_OWN_PREFECT"
ONE_RUN_NAME = "NIGHTBENCH_PREFECT_OF_ONE_RUN"
AUTH_NAMES = ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING")


@dataclass(frozen=True, slots=True)
class PrefectAccess:
    """Where a Prefect API answers, and the `user:password` that it asks for, if it does."""

    url: str
    auth: str | None = field(default=None, repr=False)
    is_ours: bool = False  # nightbench has started it, for itself
    is_of_one_run: bool = False  # and it goes with the run: no other machine asks it

    def environment(self) -> dict[str, str]:
        """What tells Prefect's client, and our tasks."""
        return (
            {"PREFECT_API_URL": self.url}
            | ({AUTH_NAMES[1]: self.auth} if self.auth else {})
            | ({OWN_NAME: "1"} if self.is_ours else {})
            | ({ONE_RUN_NAME: "1"} if self.is_of_one_run else {})
        )

    def past_proxies(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The variables by which a server of this machine is reached directly; whether another one
        is, is for the user to say."""
        host = urlsplit(self.url).hostname or ""
        return past_proxies(environ, *([host] if self.is_ours else []))


def auth_string(environ: Mapping[str, str] = os.environ) -> str | None:
    """`user:password` of Prefect's basic authentication, from the environment alone."""
    return next((environ[name] for name in AUTH_NAMES if environ.get(name)), None)


def basic(auth: str | None) -> tuple[str, str] | None:
    """User and password as an HTTP client wants them."""
    user, _, password = (auth or "").partition(":")
    return (user, password) if user else None


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
    return auth_string(environ) or kept(password_file(home))


def password_of(home: Home, environ: Mapping[str, str] = os.environ) -> Password:
    """As `known_auth`; made and kept where there is none yet."""
    given = auth_string(environ)
    return Password(given) if given else kept_or_new(password_file(home))

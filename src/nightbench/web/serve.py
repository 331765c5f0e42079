"""Serve an app of somebody else behind our door (`Door.argv`).

Like `uvicorn --factory`, which it uses, in one process: no port lies open behind the door. A
password comes in the environment, and never as an argument.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

import uvicorn
from uvicorn.importer import import_from_string

from nightbench.web.door import PASSWORD_NAME
from nightbench.web.guard import App, own_origin_only, with_password
from nightbench.web.own_origin import OwnNames
from nightbench.web.sign_in import FOR_BASIC, FOR_PREFECT, Tokens, with_sign_in

PREFECT_PASSWORD_NAME = "PREFECT_SERVER_API_AUTH_STRING"  # noqa: S105 - Prefect's app asks for it


def guarded(app: App, args: argparse.Namespace, environ: Mapping[str, str]) -> App:
    """The app behind what the arguments and the environment ask for."""
    own = OwnNames.of(args.name, args.allowed_host, any_address=args.any_address)
    auth, keep = environ.get(PREFECT_PASSWORD_NAME), FOR_PREFECT
    if PASSWORD_NAME in environ:
        auth, keep = environ[PASSWORD_NAME], FOR_BASIC
        app = with_password(app, auth)
    if args.sign_in is not None and auth:
        app = with_sign_in(app, Tokens(args.sign_in), auth, keep)
    return own_origin_only(app, own)


def main() -> None:
    """Serve until a signal."""
    args = _parser().parse_args()
    os.umask(0o077)  # databases, logs and whatever else the app makes

    def create() -> App:
        app: App = import_from_string(args.factory)()
        return guarded(app, args, os.environ)

    uvicorn.run(
        create,
        factory=True,
        host=args.host,
        port=args.port,
        lifespan="on",
        log_level="error",
        server_header=False,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m nightbench.web.serve", description=__doc__)
    add = parser.add_argument
    add("factory", metavar="MODULE:FACTORY", help="the factory of the app")
    add("--host", default="127.0.0.1", help="where it listens")
    add("--port", type=int, required=True)
    add("--name", action="append", default=[], help="a host name of this machine")
    add("--allowed-host", action="append", default=[], help="an additional allowed host name")
    add("--any-address", action="store_true", help="accept any IP address as host name")
    add("--sign-in", type=Path, metavar="DIR", help="the folder of sign-in tokens")
    return parser


if __name__ == "__main__":
    main()

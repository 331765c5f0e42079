"""`nightbench watch`: serve the SwanLab dashboard on this machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from nightbench.cli.home_argument import home_to_write
from nightbench.cli.numbers_argument import count, port_or_any
from nightbench.cli.passwords import Password, kept_or_new
from nightbench.cli.up_settings import allowed_hosts
from nightbench.cli.ways_in import address, password_lines
from nightbench.dashboards.swanlab_places import board_settings
from nightbench.errors import BadInput, DashboardError
from nightbench.home.kept_runs import RunRetention
from nightbench.home.paths import Home
from nightbench.home.private_files import open_private
from nightbench.secrets.child_env import FOR_BOARD, environment_for
from nightbench.web.door import PASSWORD_NAME, Door
from nightbench.web.listening import is_ours

_UP_S = 30.0


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench watch`."""
    parser = subparsers.add_parser("watch", help="serve the SwanLab dashboard", description=__doc__)
    parser.add_argument("--project", help="which project, if there are several")
    parser.add_argument(
        "--port", type=port_or_any, default=5092, help="port on 127.0.0.1 (5092, else a free one)"
    )
    parser.add_argument(
        "--allowed-host",
        metavar="NAME",
        action="append",
        default=[],
        help="another host name of this server, such as a proxy's (NIGHTBENCH_ALLOWED_HOSTS)",
    )
    parser.add_argument(
        "--resync", action="store_true", help="rebuild the dashboard from the history first"
    )
    parser.add_argument(
        "--runs",
        type=count,
        metavar="N",
        help="how many of a project's newest runs --resync draws "
        "(60, or NIGHTBENCH_KEEP_SWANLAB_RUNS)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from nightbench.dashboards import swanlab_mirror

    home = home_to_write()
    if args.resync:
        print("rebuilding the dashboard from the history …", flush=True)
        shown = swanlab_mirror.resync(
            home, mode="local", limit=args.runs or RunRetention.from_env().swanlab_runs
        )
        print(f"rebuilt from the history: {shown} runs")
    store = choose_store(home, args.project)
    swanlab_mirror.settle(home, store.name)
    kept = home.dashboards / "watch"
    password = kept_or_new(kept / "password")
    door = Door(
        port=free_port(args.port),
        allowed=allowed_hosts(args.allowed_host, os.environ),
        sign_in=kept / "sign-in",
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # else the server would outlive us
    with open_private(kept / "server.log", os.O_TRUNC) as log:
        server = subprocess.Popen(
            door.argv("nightbench.dashboards.swanlab_board:create"),
            stdout=log,
            stderr=log,
            env=environment_for(FOR_BOARD)
            | board_settings(home, store)
            | {PASSWORD_NAME: password.auth},
        )
    try:
        _wait_until_up(server, door.port, kept / "server.log")
        _say_where(door.port, password, kept / "sign-in")
        return server.wait()
    finally:
        server.terminate()
        server.wait()


def _say_where(port: int, password: Password, tokens: Path) -> None:
    is_terminal = sys.stdout.isatty()
    where = address(f"http://127.0.0.1:{port}", tokens, is_terminal=is_terminal)
    print(f"SwanLab dashboard: {where}   (Ctrl-C stops it)")
    said = " ".join(password_lines(password, is_terminal=is_terminal))
    print(f"Another browser asks for user and password: {said}", flush=True)


def choose_store(home: Home, project: str | None) -> Path:
    """The local store to serve.

    Raises:
        BadInput: there is none yet, several, or not the one named.
    """
    stores = sorted(p.parent for p in (home.dashboards / "swanlab").glob("*/runs.swanlab"))
    names = ", ".join(store.name for store in stores)
    if not stores:
        raise BadInput(
            f"there is no SwanLab dashboard in {home.dashboards} yet",
            hint="Run a night, or rebuild it from the history: `nightbench watch --resync`.",
        )
    chosen = [store for store in stores if project in (None, store.name)]
    if not chosen:
        raise BadInput(f"there is no SwanLab project {project!r}", hint=f"There are: {names}.")
    if len(chosen) > 1:
        raise BadInput(f"there are several SwanLab projects: {names}", hint="Pass --project NAME.")
    return chosen[0]


def free_port(wanted: int) -> int:
    """The port that was asked for, or a free one where somebody has it."""
    for number in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DashboardError("no free port on 127.0.0.1")


def _wait_until_up(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    give_up = time.monotonic() + _UP_S
    while server.poll() is None and time.monotonic() < give_up:
        if is_ours(f"http://127.0.0.1:{port}"):
            return
        time.sleep(0.1)
    raise DashboardError("SwanLab's dashboard did not start", hint=f"Its log is {log}.")

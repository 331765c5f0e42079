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
from nightbench.errors import BadInput, DashboardError
from nightbench.home import Home
from nightbench.kept_runs import Keep

_UP_S = 30.0


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench watch`."""
    parser = subparsers.add_parser("watch", help="serve the SwanLab dashboard", description=__doc__)
    parser.add_argument("--project", help="which, where there are several")
    parser.add_argument(
        "--port", type=int, default=5092, help="of 127.0.0.1 (5092, else a free one)"
    )
    parser.add_argument(
        "--resync", action="store_true", help="make the dashboard again from the history first"
    )
    parser.add_argument(
        "--runs",
        type=int,
        metavar="N",
        help="how many of a project's newest runs --resync draws "
        "(60, or NIGHTBENCH_KEEP_SWANLAB_RUNS)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from nightbench.dashboards import swanlab_mirror
    from nightbench.dashboards.swanlab_places import serve_argv

    home = home_to_write()
    if args.resync:
        print("making the dashboard again from the history …", flush=True)
        shown = swanlab_mirror.resync(
            home, mode="local", limit=args.runs or Keep.from_env().swanlab_runs
        )
        print(f"made again from the history: {shown} runs")
    store = choose_store(home, args.project)
    swanlab_mirror.settle(home, store.name)
    port = free_port(args.port)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # else the server would outlive us
    server = subprocess.Popen(
        serve_argv(store, port),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"SWANLAB_SAVE_DIR": str(home.dashboards / "swanlab-home")},
    )
    try:
        _wait_until_up(server, port)
        print(f"SwanLab dashboard: http://127.0.0.1:{port}   (Ctrl-C ends it)", flush=True)
        return server.wait()
    finally:
        server.terminate()
        server.wait()


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
            hint="Run a night, or make it from the history: `nightbench watch --resync`.",
        )
    chosen = [store for store in stores if project in (None, store.name)]
    if not chosen:
        raise BadInput(f"there is no SwanLab project {project!r}", hint=f"There are: {names}.")
    if len(chosen) > 1:
        raise BadInput(f"there are several SwanLab projects: {names}", hint="Say --project NAME.")
    return chosen[0]


def free_port(wanted: int) -> int:
    """The port that was asked for, or a free one where somebody has it."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DashboardError("no port of 127.0.0.1 is free")


def _wait_until_up(server: subprocess.Popen[bytes], port: int) -> None:
    give_up = time.monotonic() + _UP_S
    while server.poll() is None and time.monotonic() < give_up:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise DashboardError(
        "SwanLab's dashboard did not start",
        hint=f"See why: {sys.executable} -m swanlab watch --help",
    )

"""`nightbench up`: Prefect server, worker and deployments on this machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from nightbench.cli.prefect_api import (
    address_file,
    prefect_settings,
    running_api,
    server_argv,
    wait_until_healthy,
)
from nightbench.errors import BadInput, NightbenchError
from nightbench.home import Home
from nightbench.resources import deployments_dir
from nightbench.serving.probing import is_listening

POOL = "nightbench"
STOP_S = 40.0  # Prefect gives a cancelled flow run 30 s


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench up`."""
    parser = subparsers.add_parser(
        "up", help="Prefect server, worker and deployments", description=__doc__
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="where the UI binds (default: %(default)s)"
    )
    parser.add_argument(
        "--port", type=int, default=4200, help="the UI's port (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Start everything, say where it is, and stop it on Ctrl-C."""
    home = Home.from_env()
    already = running_api(home)
    if already:
        print(f"nightbench is up already: {already.removesuffix('/api')}")
        return 0
    if is_listening(args.host, args.port):
        raise BadInput(
            f"port {args.port} on {args.host} is taken",
            hint="Choose another with --port, or stop what listens there.",
        )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        server, worker = _start(home, args.host, args.port, stack)
        print(f"\nPrefect UI   http://{args.host}:{args.port}")
        print("Deployments  nightly, smoke, benchmark-target, maintenance")
        print(f"Logs         {home.prefect}\n\nCtrl-C stops all.", flush=True)
        try:
            _wait_for_an_end(server, worker)
        except KeyboardInterrupt:
            print("\nstopping …", flush=True)
            return 0
        gone = "server" if server.poll() is not None else "worker"
        raise NightbenchError(
            f"the Prefect {gone} ended by itself", hint=f"Its log is {home.prefect / gone}.log."
        )


Process = subprocess.Popen[bytes]


def _wait_for_an_end(*processes: Process) -> None:
    while all(process.poll() is None for process in processes):
        time.sleep(0.5)


def _start(home: Home, host: str, port: int, stack: ExitStack) -> tuple[Process, Process]:
    home.prefect.mkdir(parents=True, exist_ok=True)
    url = f"http://{host}:{port}/api"
    env = dict(os.environ) | prefect_settings(home)
    env |= {"NIGHTBENCH_HOME": str(home.root), "PREFECT_API_URL": url}
    print("starting the Prefect server …", flush=True)
    argv = server_argv(port, host)
    server = stack.enter_context(_running(argv, env, home.prefect / "server.log"))
    wait_until_healthy(url, lambda: server.poll() is None, home.prefect / "server.log")
    stack.enter_context(_announced(address_file(home), url))
    print("registering the deployments …", flush=True)
    _prefect(env, "work-pool", "create", POOL, "--type", "process", "--overwrite")
    _prefect(env, "deploy", "--all", "--prefect-file", str(deployments_dir() / "prefect.yaml"))
    worker_argv = (*_PREFECT, "worker", "start", "--pool", POOL)
    worker = stack.enter_context(_running(worker_argv, env, home.prefect / "worker.log"))
    return server, worker


_PREFECT = (sys.executable, "-m", "prefect", "--no-prompt")


def _prefect(env: dict[str, str], *arguments: str) -> None:
    answer = subprocess.run(
        (*_PREFECT, *arguments), env=env, capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        said = (answer.stdout + answer.stderr).strip()
        raise NightbenchError(f"prefect {' '.join(arguments[:2])} failed:\n{said}")


@contextmanager
def _announced(file: Path, url: str) -> Iterator[None]:
    """While the server runs, `nightbench run` finds it."""
    file.write_text(url, encoding="utf-8")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


@contextmanager
def _running(argv: tuple[str, ...], env: dict[str, str], log_path: Path) -> Iterator[Process]:
    """A process in a session of its own (so that the terminal's Ctrl-C reaches us first)."""
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            argv, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

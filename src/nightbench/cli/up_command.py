"""`nightbench up`: Prefect server, worker and deployments on this machine, until Ctrl-C.

With --join, only a worker: this machine measures what a server elsewhere hands to it.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from nightbench.cli import registering
from nightbench.cli.home_argument import home_to_write
from nightbench.cli.kept_process import KeptProcess
from nightbench.cli.prefect_api import (
    address_file,
    is_healthy,
    running_api,
    server_argv,
    wait_until_healthy,
)
from nightbench.cli.prefect_rest import PrefectRest
from nightbench.cli.registering import Nights, prefect_argv, present_nights
from nightbench.cli.up_settings import (
    client_host,
    database_url,
    is_loopback,
    node_pool,
    server_settings,
    worker_settings,
)
from nightbench.errors import BadInput, NightbenchError
from nightbench.home import Home
from nightbench.offering import suite_names, unreadable_suites
from nightbench.private_files import make_private
from nightbench.scheduling import daily_at, known_timezone, machine_timezone
from nightbench.serving.machine import this_machine
from nightbench.serving.probing import is_listening

LOOK_EVERY_S = 0.5


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench up`."""
    parser = subparsers.add_parser(
        "up", help="Prefect server, worker and deployments", description=__doc__
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="where the UI binds (default: %(default)s)")
    add("--port", type=int, default=4200, help="the UI's port (default: %(default)s)")
    add("--nightly", metavar="SUITE", help="run this suite every night: switches the schedule on")
    add("--at", metavar="HH:MM", help="when (02:00, or as it was set before)")
    add("--timezone", metavar="ZONE", help="in which time zone (this machine's)")
    add("--suites", type=Path, metavar="DIR", help="a folder of suites to choose from in the UI")
    add(
        "--database-url",
        metavar="URL",
        help="a Postgres for the Prefect server, its password in PGPASSWORD or ~/.pgpass; "
        "or the whole URL in PREFECT_SERVER_DATABASE_CONNECTION_URL (SQLite in NIGHTBENCH_HOME)",
    )
    add("--pool", metavar="NAME", help="the work pool of this machine (by its GPUs: gpu4, cpu)")
    add("--join", metavar="URL", help="work for the Prefect server there instead of starting one")


def run(args: argparse.Namespace) -> int:
    """Start everything, say where it is, keep it running, and stop it on Ctrl-C."""
    home = home_to_write()
    nights = _nights(args)
    if args.suites is not None:
        if not args.suites.is_dir():
            raise BadInput(f"--suites {args.suites} is no folder")
        os.environ["NIGHTBENCH_SUITES"] = str(args.suites.absolute())
    for problem in unreadable_suites().values():
        print(f"left out: {problem}")
    if nights.suite is not None and nights.suite not in suite_names():
        raise BadInput(
            f"there is no suite {nights.suite!r} to run every night",
            hint=f"There are {', '.join(suite_names())}; --suites DIR adds a folder of your own.",
        )
    pool = args.pool or node_pool(len(this_machine().inventory.gpus))
    make_private(home.prefect)
    if args.join:
        return _join(home, args.join.rstrip("/").removesuffix("/api"), pool)
    return _up(args, home, nights, pool)


def _nights(args: argparse.Namespace) -> Nights:
    return Nights(
        suite=args.nightly,
        cron=daily_at(args.at) if args.at else None,
        timezone=known_timezone(args.timezone) if args.timezone else None,
    )


def _up(args: argparse.Namespace, home: Home, nights: Nights, pool: str) -> int:
    already = running_api(home)
    if already:
        print(f"nightbench is up already: {already.removesuffix('/api')}")
        if nights != Nights():
            registering.register(
                already, pool, nights, machine_timezone(), worker_settings(home, already)
            )
            _say_nights(already)
        return 0
    if is_listening(client_host(args.host), args.port):
        raise BadInput(
            f"port {args.port} on {args.host} is taken",
            hint="Choose another with --port, or stop what listens there.",
        )
    url = f"http://{client_host(args.host)}:{args.port}/api"
    settings = server_settings(
        home, url, args.host, database_url(args.database_url, os.environ), os.environ
    )
    _warn_where_open(args.host, settings)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        print("starting the Prefect server …", flush=True)
        argv = server_argv(args.port, args.host)
        server = KeptProcess("server", argv, settings, home.prefect / "server.log")
        stack.enter_context(server)
        wait_until_healthy(url, server.is_running, server.log_path)
        stack.enter_context(_announced(address_file(home), url))
        print("registering the deployments …", flush=True)
        env = worker_settings(home, url)
        registering.register(url, pool, nights, machine_timezone(), env)
        worker = stack.enter_context(_worker(home, pool, env))
        print(f"\nPrefect UI   {url.removesuffix('/api')}")
        print("Deployments  nightly, smoke, benchmark-target, maintenance")
        _say_nights(url)
        print(f"Work pool    {pool}\nLogs         {home.prefect}\n\nCtrl-C stops all.", flush=True)
        return _keep(server, worker)


def _join(home: Home, url: str, pool: str) -> int:
    api = f"{url}/api"
    if not is_healthy(api):
        raise NightbenchError(f"no Prefect server answers at {url}", hint="Start one there first.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    env = worker_settings(home, api)
    registering.register_node(api, pool, env)
    # One target at a time: what waits meanwhile is ordered by the urgency of its queue.
    with _worker(home, pool, env, "--limit", "1") as worker:
        print(f"Working for  {url}\nWork pool    {pool}\n\nCtrl-C stops it.", flush=True)
        return _keep(worker)


def _worker(home: Home, pool: str, env: dict[str, str], *arguments: str) -> KeptProcess:
    argv = prefect_argv("worker", "start", "--pool", pool, *arguments)
    return KeptProcess("worker", argv, env, home.prefect / f"worker-{pool}.log")


def _keep(*processes: KeptProcess) -> int:
    """Start again what ends by itself, until Ctrl-C: neither touches a measurement."""
    try:
        while True:
            for process in processes:
                if said := process.keep():
                    print(said, flush=True)
            time.sleep(LOOK_EVERY_S)
    except KeyboardInterrupt:
        print("\nstopping …", flush=True)
        return 0


def _warn_where_open(host: str, settings: dict[str, str]) -> None:
    if is_loopback(host) or settings.get("PREFECT_SERVER_API_AUTH_STRING"):
        return
    print(
        f"warning: whoever reaches {host} can start and stop runs here, and read every result.\n"
        "  Set PREFECT_SERVER_API_AUTH_STRING=user:password, or leave --host at 127.0.0.1.",
        flush=True,
    )


def _say_nights(url: str) -> None:
    with PrefectRest(url) as api:
        present = present_nights(
            api.get(f"/deployments/name/{registering.NIGHTLY}/{registering.NIGHTLY}")
        )
    if present is None:
        return
    suite = present.parameters.get("suite")
    for schedule in present.schedules:
        when = f"{schedule.get('cron', 'as scheduled')} {schedule.get('timezone', '')}"
        switch = "" if schedule.get("active") else ": switched off, --nightly SUITE switches it on"
        print(f"Nights       {suite}, {when}{switch}")


@contextmanager
def _announced(file: Path, url: str) -> Iterator[None]:
    """While the server runs, `nightbench run` finds it."""
    file.write_text(url, encoding="utf-8")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)

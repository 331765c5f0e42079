"""`nightbench up`: Prefect server, worker and deployments on this machine, until Ctrl-C.

With --join, only a worker: this machine measures what a Prefect server elsewhere dispatches to it.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from nightbench.cli import registering
from nightbench.cli.home_argument import home_to_write
from nightbench.cli.numbers_argument import port
from nightbench.cli.passwords import Password
from nightbench.cli.prefect_access import (
    AUTH_NAMES,
    PrefectAccess,
    auth_string,
    known_auth,
    password_file,
    password_of,
    sign_in_folder,
)
from nightbench.cli.prefect_api import (
    address_file,
    refuse_wrong_password,
    running_api,
    server_argv,
    wait_until_healthy,
    why_not_healthy,
)
from nightbench.cli.prefect_rest import PrefectRest
from nightbench.cli.registering import NightlySchedule, prefect_argv, present_nights
from nightbench.cli.restarted_process import RestartedProcess
from nightbench.cli.up_settings import (
    allowed_hosts,
    client_host,
    database_url,
    is_loopback,
    machine_names,
    node_pool,
    server_settings,
    worker_settings,
)
from nightbench.cli.ways_in import LASTS, address, open_to, password_lines
from nightbench.errors import BadInput, NightbenchError
from nightbench.home.paths import Home
from nightbench.home.private_files import open_private, private_folder
from nightbench.night.scheduling import daily_at, known_timezone, machine_timezone
from nightbench.serving.hardware.machine import this_machine
from nightbench.serving.probing import is_listening
from nightbench.suite.catalogue import suite_names, unreadable_suites
from nightbench.web.door import Door
from nightbench.web.sign_in import Tokens

LOOK_EVERY_S = 0.5


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench up`."""
    parser = subparsers.add_parser(
        "up", help="Prefect server, worker and deployments", description=__doc__
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address the UI binds to (default: %(default)s)")
    add("--port", type=port, default=4200, help="the UI's port (default: %(default)s)")
    add("--nightly", metavar="SUITE", help="run this suite every night: switches the schedule on")
    add("--at", metavar="HH:MM", help="when (default: 02:00, or the time set before)")
    add("--timezone", metavar="ZONE", help="time zone of --at (default: this machine's)")
    add("--suites", type=Path, metavar="DIR", help="a folder of suites to offer in the UI")
    add(
        "--database-url",
        metavar="URL",
        help="Postgres for the Prefect server, with the password in PGPASSWORD or ~/.pgpass; "
        "or set PREFECT_SERVER_DATABASE_CONNECTION_URL (default: SQLite in NIGHTBENCH_HOME)",
    )
    add(
        "--allowed-host",
        metavar="NAME",
        action="append",
        default=[],
        help="another host name of this server, such as a proxy's (NIGHTBENCH_ALLOWED_HOSTS)",
    )
    add("--no-auth", action="store_true", help="require no password (prints what that exposes)")
    add(
        "--pool", metavar="NAME", help="work pool of this machine (default: by its GPUs: gpu4, cpu)"
    )
    add("--join", metavar="URL", help="work for the Prefect server at URL instead of starting one")


def run(args: argparse.Namespace) -> int:
    """Start everything, say where it is, keep it running, and stop it on Ctrl-C."""
    home = home_to_write()
    nights = _nights(args)
    if args.suites is not None:
        if not args.suites.is_dir():
            raise BadInput(f"--suites {args.suites} is not a folder")
        os.environ["NIGHTBENCH_SUITES"] = str(args.suites.absolute())
    for problem in unreadable_suites().values():
        print(f"left out: {problem}")
    if nights.suite is not None and nights.suite not in suite_names():
        raise BadInput(
            f"there is no suite {nights.suite!r} to run every night",
            hint=f"There are {', '.join(suite_names())}; --suites DIR adds a folder of your own.",
        )
    pool = args.pool or node_pool(len(this_machine().inventory.gpus))
    private_folder(home.prefect, but=password_file(home))
    if args.join:
        return _join(home, args.join.rstrip("/").removesuffix("/api"), pool)
    return _up(args, home, nights, pool)


def _nights(args: argparse.Namespace) -> NightlySchedule:
    return NightlySchedule(
        suite=args.nightly,
        cron=daily_at(args.at) if args.at else None,
        timezone=known_timezone(args.timezone) if args.timezone else None,
    )


def _up(args: argparse.Namespace, home: Home, nights: NightlySchedule, pool: str) -> int:
    already = running_api(home)
    if already:
        return _already_up(home, already, nights, pool)
    password = _password(args, home)
    if is_listening(client_host(args.host), args.port):
        raise BadInput(
            f"port {args.port} on {args.host} is taken",
            hint="Choose another with --port, or stop the process that listens there.",
        )
    url = f"http://{client_host(args.host)}:{args.port}/api"
    access = PrefectAccess(url, _auth(password), is_ours=True)
    door = _door(args, home)
    settings = server_settings(
        home, access, database_url(args.database_url, os.environ), os.environ
    )
    if password is None:
        print(open_to(args.host, is_loopback=is_loopback(args.host)), flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    Tokens(sign_in_folder(home)).forget()
    with ExitStack() as stack:
        print("starting the Prefect server …", flush=True)
        server = RestartedProcess(
            "server", server_argv(door), settings, home.prefect / "server.log"
        )
        stack.enter_context(server)
        wait_until_healthy(access.url, server.is_running, server.log_path)
        stack.enter_context(_announced(address_file(home), access.url))
        print("registering the deployments …\n", flush=True)
        env = worker_settings(home, access)
        registering.register(access.url, pool, nights, machine_timezone(), env)
        worker = stack.enter_context(_worker(home, pool, env))
        _say_ways_in(home, access, password)
        print("Deployments  nightly, smoke, benchmark-target, maintenance")
        _say_nights(access)
        print(f"Work pool    {pool}\nLogs         {home.prefect}\n\nCtrl-C stops all.", flush=True)
        return _keep(server, worker)


def _password(args: argparse.Namespace, home: Home) -> Password | None:
    if not args.no_auth:
        return password_of(home)
    if auth_string():
        raise BadInput(
            f"--no-auth, and a password in {' or '.join(AUTH_NAMES)}",
            hint="Leave one of them out.",
        )
    return None


def _auth(password: Password | None) -> str | None:
    return password.auth if password else None


def _door(args: argparse.Namespace, home: Home) -> Door:
    return Door(
        host=args.host,
        port=args.port,
        names=machine_names(args.host),
        allowed=allowed_hosts(args.allowed_host, os.environ),
        any_address=not is_loopback(args.host),
        sign_in=sign_in_folder(home),
    )


def _already_up(home: Home, url: str, nights: NightlySchedule, pool: str) -> int:
    access = PrefectAccess(url, known_auth(home), is_ours=True)
    print(f"nightbench is up already: {url.removesuffix('/api')}")
    refuse_wrong_password(access, os.environ)
    if nights != NightlySchedule():
        env = worker_settings(home, access)
        registering.register(url, pool, nights, machine_timezone(), env)
        _say_nights(access)
    # Nothing is made here: what another `up` has made is not new to anybody.
    kept_in = None if auth_string() else password_file(home)
    _say_ways_in(home, access, Password(access.auth, kept_in) if access.auth else None)
    return 0


def _say_ways_in(home: Home, access: PrefectAccess, password: Password | None) -> None:
    url, is_terminal = access.url.removesuffix("/api"), sys.stdout.isatty()
    if password is None:
        print(f"Prefect UI   {url}")
        return
    print(f"Prefect UI   {address(url, sign_in_folder(home), is_terminal=is_terminal)}")
    if is_terminal:
        print(f"             {LASTS}")
    first, *others = password_lines(password, is_terminal=is_terminal)
    print(f"Password     {first}")
    for line in others:
        print(f"             {line}")


def _join(home: Home, url: str, pool: str) -> int:
    access = PrefectAccess(f"{url}/api", auth_string())
    if why := why_not_healthy(access.url):
        raise NightbenchError(
            f"cannot reach a Prefect server at {url}: {why}", hint="Start it first."
        )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    env = worker_settings(home, access)
    registering.register_node(access.url, pool, env)
    # One target at a time: what waits meanwhile is ordered by the urgency of its queue.
    with _worker(home, pool, env, "--limit", "1") as worker:
        print(f"Working for  {url}\nWork pool    {pool}\n\nCtrl-C stops it.", flush=True)
        return _keep(worker)


def _worker(home: Home, pool: str, env: dict[str, str], *arguments: str) -> RestartedProcess:
    argv = prefect_argv("worker", "start", "--pool", pool, *arguments)
    return RestartedProcess("worker", argv, env, home.prefect / f"worker-{pool}.log")


def _keep(*processes: RestartedProcess) -> int:
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


def _say_nights(access: PrefectAccess) -> None:
    with PrefectRest(access.url, access.environment()) as api:
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
    with open_private(file, os.O_TRUNC) as announced:
        announced.write(url.encode())
    try:
        yield
    finally:
        file.unlink(missing_ok=True)

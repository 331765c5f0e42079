"""`nightbench serve [SUITE] --target NAME`: start the server a run would measure, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import signal
import time
from datetime import UTC, datetime
from types import FrameType
from typing import TYPE_CHECKING, Any

from nightbench.cli.home_argument import home_to_write
from nightbench.cli.numbers_argument import port
from nightbench.cli.suite_argument import add_suite_argument, suite_from
from nightbench.errors import BadInput
from nightbench.suite.models import Suite, Target
from nightbench.terminal_text import safe_line

if TYPE_CHECKING:
    from nightbench.serving.server import Server

LOOK_EVERY_S = 0.5


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench serve`."""
    parser = subparsers.add_parser(
        "serve", help="start a suite's server by hand, until Ctrl-C", description=__doc__
    )
    add_suite_argument(parser)
    parser.add_argument("--target", metavar="NAME", help="which target (default: the only one)")
    parser.add_argument("--port", type=port, help="default: a free one")
    parser.add_argument(
        "--no-wait", action="store_true", help="fail instead of waiting if the hardware is leased"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted. Raises ServerDied or ServerHung if it ends by itself."""
    from rich.console import Console

    from nightbench.cli.terminal_progress import TerminalProgress
    from nightbench.serving.server import serve
    from nightbench.serving.supervise.launcher import Options

    suite_file = suite_from(args.suite)
    target = the_target(suite_file.suite, args.target)
    home = home_to_write()
    now = datetime.now(UTC)
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(stderr=True)
    with (
        TerminalProgress(console) as progress,
        serve(
            target,
            home,
            base_dir=suite_file.base_dir,
            run_dir=home.logs / f"serve-{now:%Y%m%d-%H%M%S}-{os.getpid()}",
            on_progress=progress,
            options=Options(wait_for_lease=not args.no_wait, port=args.port),
        ) as server,
    ):
        # Plain print: a key must not be wrapped at the terminal's edge.
        print(_how_to_use(server), flush=True)
        while server.trouble() is None:
            time.sleep(LOOK_EVERY_S)
        server.check()
    return 0


def the_target(suite: Suite, name: str | None) -> Target:
    """The target of that name, or the only one. Raises BadInput, naming those that are there."""
    found = [target for target in suite.targets if name in (None, target.name)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(target.name for target in suite.targets)
    what = f"no target is called {name}" if name else "which target?"
    raise BadInput(f"{suite.name}: {what}", hint=f"Give --target: {names}.")


def _how_to_use(server: Server) -> str:
    """How to reach it. The key is for the person who typed the command, on their own terminal."""
    endpoint = server.endpoint
    is_ours = server.row() is not None  # the key of somebody else's server is known where it is set
    key = f"export OPENAI_API_KEY={endpoint.api_key}\n" if is_ours and endpoint.api_key else ""
    return (
        f"{safe_line(endpoint.model)} is ready at {safe_line(endpoint.base_url)}\n\n"
        f"{key}export OPENAI_BASE_URL={endpoint.base_url}\n\nCtrl-C stops it."
    )


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt

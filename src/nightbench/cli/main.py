"""`nightbench COMMAND …`: finds the command's module, runs it, turns errors into exit codes.

Only the module of the command that was typed is imported: `nightbench load` must send its first
request within a second of its start.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import threading
from types import ModuleType
from typing import NoReturn

from nightbench import __version__
from nightbench.errors import NightbenchError
from nightbench.proxies import direct_to_this_machine

INTERRUPTED = 130
LEAVE_WITHIN_S = 15.0

COMMANDS = {
    "run": "run a suite now, as a Prefect flow run",
    "new-suite": "write a suite, interactively or from flags",
    "plan": "what a suite would do, exactly: commands, hardware, requests, time",
    "fetch": "download and build what a suite needs and this machine lacks",
    "rehearse": "the whole night in miniature, on any machine",
    "eval": "run a benchmark against any OpenAI-compatible endpoint and score it",
    "score": "score replies generated elsewhere",
    "load": "put any OpenAI-compatible endpoint under load and measure it",
    "up": "Prefect server, worker and deployments on this machine",
    "sql": "read-only SQL over the history",
    "history": "list the runs in the history",
    "show": "one run: its targets, accuracies and levels",
    "verdicts": "verdicts of a run: is anything worse than before?",
    "events": "the open changes",
    "accept": "accept a change as the new baseline",
    "acknowledge": "assign an owner to an event and silence it until a date",
    "annotate": "a note on a target or an event",
    "judge": "judge a run again, or any series of nights",
    "watch": "serve the SwanLab dashboard",
    "serve": "start a suite's server by hand, until Ctrl-C",
    "engines": "the engine environments: list, build, remove",
    "doctor": "what this machine can run, and what stands in the way",
    "reap": "end what dead runs left behind",
    "import": "import other tools' results as nights of the history",
    "land": "ingest spooled results into the history",
}


def entry() -> NoReturn:
    """The `nightbench` command as installed: `main`, and then to leave, whoever is away."""
    from nightbench.cli.telling import hide_in_logs, print_traceback

    sys.excepthook = print_traceback
    hide_in_logs()
    code = main()
    if "prefect" in sys.modules:
        _leave_within(LEAVE_WITHIN_S, code)
    sys.exit(code)


def _leave_within(seconds: float, code: int) -> None:
    """End this process by then. As the interpreter ends, Prefect hands its last events to the API,
    and waits for one that is gone for as long as its retries last: seen for 40 minutes."""
    timer = threading.Timer(seconds, os._exit, (code,))
    timer.daemon = True
    timer.start()


def main(argv: list[str] | None = None) -> int:
    """What `nightbench` does. Returns an exit code: 0, 1, 2, 3, 4 or 130."""
    arguments = sys.argv[1:] if argv is None else argv
    os.environ.update(direct_to_this_machine(os.environ))
    args = _parser(arguments).parse_args(arguments)
    command: ModuleType = args.command_module
    try:
        return int(command.run(args))
    except NightbenchError as error:
        from nightbench.cli.telling import told

        print(f"nightbench: {told(str(error), arguments)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("nightbench: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has seen enough (`| head`).
        sys.stderr.close()
        return 0
    except OSError as error:
        from nightbench.cli.telling import of_the_system, told

        print(f"nightbench: {told(of_the_system(error), arguments)}", file=sys.stderr)
        return 1


def _parser(arguments: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nightbench",
        description="Nightly accuracy and concurrency benchmarks for self-hosted LLM servers.",
        epilog="`nightbench COMMAND --help` explains each command.",
    )
    parser.add_argument("--version", action="version", version=f"nightbench {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    typed = next((word for word in arguments if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        if name != typed:
            subparsers.add_parser(name, help=summary)
            continue
        module = importlib.import_module(f"nightbench.cli.{name.replace('-', '_')}_command")
        module.add_parser(subparsers)
        subparsers.choices[name].set_defaults(command_module=module)
    return parser


if __name__ == "__main__":
    entry()

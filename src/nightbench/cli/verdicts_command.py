"""`nightbench verdicts [RUN]`: the verdicts of a run, a sentence per target.

Without RUN, the newest. `nightbench judge RUN` judges one again; docs/verdicts.md explains how.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nightbench.cli.result_file import result_file
from nightbench.errors import BadInput
from nightbench.home.paths import Home


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench verdicts`."""
    parser = subparsers.add_parser(
        "verdicts",
        help="the verdicts of a run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "run_id", nargs="?", default="latest", metavar="RUN", help="a run id or a prefix of one"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write them to this file, in full"
    )


def run(args: argparse.Namespace) -> int:
    """Print them."""
    from rich.console import Console

    from nightbench.cli.results_view import print_verdicts
    from nightbench.history.query_parameters import find_run
    from nightbench.history.reading import open_history
    from nightbench.history.run_results import read_verdicts

    with open_history(Home.from_env()) as history:
        run_id = find_run(history, args.run_id)
        rows = read_verdicts(history, run_id)
    if not rows:
        raise BadInput(f"{run_id} has no verdicts", hint=f"`nightbench judge {run_id}` judges it.")
    with result_file(args.json) as write:
        write(json.loads(json.dumps([asdict(row) for row in rows], default=str)))
    print_verdicts(rows, Console(highlight=False))
    return 0

"""`nightbench events`: the open changes, oldest first.

An event is open from its first night until it recovers or somebody accepts it. `accept` makes
it the new baseline; `acknowledge` assigns an owner and silences it until a date.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nightbench.home.paths import Home


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench events`."""
    parser = subparsers.add_parser(
        "events",
        help="the open changes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write them to this file, in full"
    )


def run(args: argparse.Namespace) -> int:
    """Print them."""
    from nightbench.cli.sql_command import write_result
    from nightbench.history.reading import open_history
    from nightbench.history.sql_files import statement
    from nightbench.terminal_text import safe_line

    with open_history(Home.from_env()) as history:
        result = history.sql(statement("events"))
    rows = [dict(zip(result.columns, row, strict=True)) for row in result.rows]
    for row in rows:
        print(f"{safe_line(str(row['event']))}  {safe_line(str(row['detail']), max_chars=600)}")
        if row["owner"]:
            quiet = f", silenced until {row['quiet_until']}" if row["is_quiet"] else ""
            owner, ticket = safe_line(str(row["owner"])), safe_line(str(row["ticket"]))
            print(f"    acknowledged by {owner} ({ticket}){quiet}")
    if not rows:
        print("no open events")
    if args.json:
        with args.json.open("w", encoding="utf-8") as file:
            write_result(result, "json", file)
    return 0

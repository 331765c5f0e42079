"""vLLM's own parser over planned command lines, in an engine environment.

On stdin, as JSON: by name, the words after `vllm serve`. Prints by name what it understood; refuses
as vLLM would.
"""

from __future__ import annotations

import argparse
import json
import sys


def main() -> None:
    """Parse and validate as `vllm serve` does before it starts anything."""
    # Their place moves between versions; the subcommand that uses them does not.
    from vllm.entrypoints.cli.serve import ServeSubcommand  # type: ignore[import-not-found]
    from vllm.utils.argparse_utils import (  # type: ignore[import-not-found]
        FlexibleArgumentParser,
    )

    understood = {}
    for name, words in json.load(sys.stdin).items():
        parser = FlexibleArgumentParser()
        serve = ServeSubcommand()
        serve.subparser_init(parser.add_subparsers(dest="subparser"))
        args: argparse.Namespace = parser.parse_args(["serve", *words])
        serve.validate(args)
        understood[name] = {key: value for key, value in vars(args).items() if not callable(value)}
    json.dump(understood, sys.stdout, default=str)


if __name__ == "__main__":
    main()

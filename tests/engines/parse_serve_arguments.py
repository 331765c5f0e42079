"""vLLM's own parser over a planned command line. Run in an engine environment: the words after
`vllm serve` as arguments. Prints what it understood as JSON; refuses as vLLM would."""

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

    parser = FlexibleArgumentParser()
    serve = ServeSubcommand()
    serve.subparser_init(parser.add_subparsers(dest="subparser"))
    args: argparse.Namespace = parser.parse_args(["serve", *sys.argv[1:]])
    serve.validate(args)
    understood = {key: value for key, value in vars(args).items() if not callable(value)}
    json.dump(understood, sys.stdout, default=str)


if __name__ == "__main__":
    main()

"""The front door: the one package of the library that stands above the flows.

Each command is a module with `add_parser(subparsers)` and `run(args) -> exit code`.
"""

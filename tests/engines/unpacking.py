"""Wheels, fetched once and unpacked: what a tool is without the gigabytes it runs on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from nightbench.home.paths import Home
from nightbench.serving.provision import recipes


def unpacked(tool: str, home: Home) -> Path:
    """The tool's own package, as its recipe pins it."""
    return fetched(recipes.load(tool).requirements[0], home, "--no-deps")


def fetched(requirement: str, home: Home, *options: str) -> Path:
    """A folder with the requirement's packages."""
    folder = home.engines.resolve() / "parsers" / requirement
    if not (folder / "whole").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", *options]
        subprocess.run([*pip, "--target", str(folder), requirement], check=True)
        (folder / "whole").touch()
    return folder

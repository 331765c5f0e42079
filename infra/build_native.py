"""Builds the parts of the load generator that are in C too, when nightbench is built.

Hatchling calls it (pyproject.toml). Without a C compiler they stay in Python.
"""

from __future__ import annotations

import os
import runpy
import shlex
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = Path("src/nightbench/load/native")


class BuildNative(BuildHookInterface):
    """Compiles libraries that every Python can load: they need no Python.h."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel, editable or not, is put together."""
        folder = Path(self.root) / NATIVE
        known = runpy.run_path(str(folder / "parts.py"))
        compiler = shlex.split(os.environ.get("CC", "cc"))
        for part, sources in known["PARTS"].items():
            library = folder / f"_{part}.so"
            library.unlink(missing_ok=True)  # rather none than one of an older source
            try:
                compile_part(compiler, folder / sources[0], library, known["source_of"](part))
            except (OSError, subprocess.CalledProcessError) as error:
                self.app.display_warning(f"the load generator's {part} stays in Python: {error}")
                continue
            build_data["artifacts"].append(str(NATIVE / library.name))
            build_data["pure_python"] = False
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["tag"] = f"py3-none-{platform}"


def compile_part(compiler: list[str], source: Path, library: Path, built_of: int) -> None:
    """Build the library aside and put it in its place whole: two may be building."""
    fresh = library.with_suffix(f".{os.getpid()}")
    flags = ["-O2", "-std=c11", "-Wall", "-Wextra", "-shared", "-fPIC", f"-DSOURCE={built_of}u"]
    subprocess.run([*compiler, *flags, "-o", str(fresh), str(source)], check=True)
    fresh.replace(library)

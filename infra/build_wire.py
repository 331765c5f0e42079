"""Builds the load generator's innermost loop, src/nightbench/load/wire.c, when nightbench is built.

Hatchling calls it (pyproject.toml). Without a C compiler the loop stays in Python.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("src/nightbench/load/wire.c")
LIBRARY = SOURCE.with_name("_wire.so")


class BuildWire(BuildHookInterface):
    """Compiles one file into a library that every Python can load: it needs no Python.h."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel, editable or not, is put together."""
        compiler = shlex.split(os.environ.get("CC", "")) or [shutil.which("cc") or ""]
        if not compiler[0]:
            self.app.display_warning("no C compiler: the load generator stays in Python")
            return
        library = Path(self.root) / LIBRARY
        fresh = library.with_suffix(".new")  # a generator may be using the old one
        flags = ["-O2", "-std=c11", "-Wall", "-Wextra", "-shared", "-fPIC"]
        subprocess.run(
            [*compiler, *flags, "-o", str(fresh), str(Path(self.root) / SOURCE)], check=True
        )
        fresh.replace(library)
        build_data["artifacts"].append(str(LIBRARY))
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"

"""Builds the load generator's innermost loop, src/nightbench/load/wire.c, when nightbench is built.

Hatchling calls it (pyproject.toml). Without a C compiler the loop stays in Python.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sysconfig
import zlib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("src/nightbench/load/wire.c")
LIBRARY = SOURCE.with_name("_wire.so")


class BuildWire(BuildHookInterface):
    """Compiles one file into a library that every Python can load: it needs no Python.h."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel, editable or not, is put together."""
        library = Path(self.root) / LIBRARY
        library.unlink(missing_ok=True)  # rather none than one of an older source
        compiler = shlex.split(os.environ.get("CC", "cc"))
        try:
            compile_wire(compiler, Path(self.root) / SOURCE, library)
        except (OSError, subprocess.CalledProcessError) as error:
            self.app.display_warning(f"the load generator's loop stays in Python: {error}")
            return
        build_data["artifacts"].append(str(LIBRARY))
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"


def compile_wire(compiler: list[str], source: Path, library: Path) -> None:
    """Build the library aside and put it in its place whole: two may be building."""
    fresh = library.with_suffix(f".{os.getpid()}")
    flags = ["-O2", "-std=c11", "-Wall", "-Wextra", "-shared", "-fPIC"]
    which = f"-DSOURCE={zlib.crc32(source.read_bytes())}u"
    subprocess.run([*compiler, *flags, which, "-o", str(fresh), str(source)], check=True)
    fresh.replace(library)

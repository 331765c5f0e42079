"""Our check of arguments with a tool's unpacked wheel, where most of what it runs on is not there:
TOOL SCRIPT FOLDER…. Run in an engine environment; stdin and stdout are the script's.

The wheel's own parser, registries and validation are real. What it declares as a dependency and is
not installed is replaced by nothing (`parse_with_own_parser.Finder`).
"""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path


def main() -> None:
    """Make the tool importable as far as it goes, then run the script as it is."""
    tool, script, *folders = sys.argv[1:]
    # Real, and before a stand-in for one of its optional dependencies can be found.
    importlib.import_module("transformers").AutoProcessor  # noqa: B018 - lazy: this imports it
    sys.path[:0] = [*folders, str(Path(__file__).parent)]
    finder = importlib.import_module("parse_with_own_parser").Finder(tool)
    sys.meta_path.append(finder)
    sys.argv = [script]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()

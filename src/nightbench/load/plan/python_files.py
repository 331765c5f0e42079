"""A person's own Python file as a source of prompts, or as the reader of a server's answers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nightbench.errors import DataError

FORM = "Expected FILE.py:FUNCTION."


def split_reference(reference: str) -> tuple[str, str]:
    """`FILE.py:FUNCTION` in its two parts. Raises DataError."""
    path, _, name = reference.rpartition(":")
    if not path.endswith(".py") or not name.isidentifier():
        raise DataError(f"{reference} does not name a function of a Python file", hint=FORM)
    return path, name


def load_function(path: Path, name: str) -> Callable[..., Any]:
    """The function `name` of a file, which is run to find it. Raises DataError."""
    if not path.is_file():
        raise DataError(f"{path} does not exist", hint=FORM)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise DataError(f"{path} cannot be loaded as Python", hint=FORM)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise DataError(f"{path} fails on import: {type(error).__name__}: {error}") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise DataError(f"{path} has no function {name}", hint=FORM)
    return function  # type: ignore[no-any-return]

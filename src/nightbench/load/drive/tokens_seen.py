"""Whether bytes that are not parsed yet hold a token: what timeouts go by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nightbench.untrusted import json_reader
from nightbench.untrusted.deltas import OUTPUT, output_of

HoldsOutput = Callable[[bytes], bool]


def by_its_names(data: bytes) -> bool:
    """Whether any key of output has a text, of OpenAI's shape or one like it."""
    return OUTPUT.search(data) is not None


def by_parser(translate: Callable[[Any], Any]) -> HoldsOutput:
    """The same by what a person's own parser makes of each event."""

    def holds_output(data: bytes) -> bool:
        return any(
            _is_output(line[5:], translate)
            for line in data.splitlines()
            if line.startswith(b"data:")
        )

    return holds_output


def of_level(response_parser: str | None) -> HoldsOutput:
    """How the answers of a level are looked at. Raises DataError."""
    if response_parser is None:
        return by_its_names
    from nightbench.load.plan.python_files import load_function, split_reference

    path, name = split_reference(response_parser)
    return by_parser(load_function(Path(path), name))


def _is_output(data: bytes, translate: Callable[[Any], Any]) -> bool:
    try:
        choices = translate(json_reader.loads(data))["choices"]
        return any(output_of(choice).is_any for choice in choices)
    except Exception:  # noqa: BLE001 - it is somebody's code, on half an event
        return False

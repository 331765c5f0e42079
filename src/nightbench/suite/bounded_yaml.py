"""YAML as a person writes it, in bounds: a file of a few lines may stand for gigabytes (aliases of
aliases), or be nested deeper than any reader's stack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

MOST_BYTES = 1_000_000
MOST_DEPTH = 50
MOST_VALUES = 20_000  # aliases counted as what they stand for, 100 characters of text as one more
LONGEST_NUMBER = 100  # characters
_CHARACTERS_A_VALUE = 100

KeyPath = tuple[str | int, ...]


class YamlProblem(Exception):
    """What is wrong with a file, with its line where it has one."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file's value, and the line of each key in it."""

    value: Any
    lines: dict[KeyPath, int]


def read_text(path: Path) -> str:
    """A file's text. Raises YamlProblem for one that cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise YamlProblem(f"it is larger than {MOST_BYTES:,} bytes")
        return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise YamlProblem(f"cannot be read: {reason}") from error


def parse(text: str) -> Document:
    """The one document of `text`. Raises YamlProblem for what is no YAML, or out of bounds."""
    try:
        _Extent().take_all(text)
        loader = _StrictLoader(text)
        node = loader.get_single_node()
        value = None if node is None else loader.construct_document(node)
        return Document(value, {} if node is None else dict(_lines(node, ())))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise YamlProblem(f"{where}{error.problem or 'not valid YAML'}") from None
    except (yaml.YAMLError, ValueError, OverflowError, LookupError) as error:
        # The scanner itself stumbles over some: a character that there is not, say.
        raise YamlProblem(f"not valid YAML: {error}") from None


class _Extent:
    """How deep a document is and how much it stands for, from its events: these are read without
    recursion, and nothing is built of them."""

    def __init__(self) -> None:
        self._open: list[_Collection] = []
        self._values = 0
        self._of_anchor: dict[str, tuple[int, int]] = {}  # (values, depth) it stands for

    def take_all(self, text: str) -> None:
        """Go through a document. Raises yaml.MarkedYAMLError where it is out of bounds."""
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            self._take(event)
            depth = max((c.level + c.depth for c in self._open[-1:]), default=0)
            if depth > MOST_DEPTH:
                raise _problem(event, f"it is nested more than {MOST_DEPTH} deep")
            if self._values > MOST_VALUES:
                raise _problem(event, f"more than {MOST_VALUES:,} values, aliases written out")

    def _take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.CollectionStartEvent):
            self._open.append(_Collection(len(self._open) + 1, event.anchor, self._values))
            self._values += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            ended = self._open.pop()
            self._add(ended.anchor, self._values - ended.values_before, ended.depth + 1)
        elif isinstance(event, yaml.ScalarEvent):
            values = 1 + len(event.value) // _CHARACTERS_A_VALUE
            self._values += values
            self._add(event.anchor, values, 1)
        elif isinstance(event, yaml.AliasEvent):
            if any(event.anchor == collection.anchor for collection in self._open):
                raise _problem(event, f"*{event.anchor} refers to itself")
            values, depth = self._of_anchor.get(event.anchor or "", (1, 1))
            self._values += values
            self._add(None, values, depth)

    def _add(self, anchor: str | None, values: int, depth: int) -> None:
        if anchor is not None:
            self._of_anchor[anchor] = values, depth
        if self._open:
            self._open[-1].depth = max(self._open[-1].depth, depth)


@dataclass(slots=True)
class _Collection:
    """One whose end has not come."""

    level: int
    anchor: str | None
    values_before: int
    depth: int = 0  # of what is in it


def _problem(event: yaml.Event, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=cast("yaml.Mark", event.start_mark))


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML in which a key that appears twice is an error, not a silent overwrite."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The value of a node; of a date or a number that is none, an error with its line."""
        is_number = node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
        try:
            if is_number and len(node.value) > LONGEST_NUMBER:
                raise ValueError(f"a number of more than {LONGEST_NUMBER} characters")
            return super().construct_object(node, deep=deep)
        except (ValueError, OverflowError, LookupError) as error:
            problem = (
                str(error) if isinstance(error, ValueError) else f"{node.value!r} is not a value"
            )
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None


def _mapping_without_duplicates(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue  # `<<: *name`: what is merged in gives way to what stands here
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.MarkedYAMLError(
                problem="a key must be text, not a list or mapping",
                problem_mark=key_node.start_mark,
            )
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.MarkedYAMLError(
                problem=f"the key {key!r} appears twice", problem_mark=key_node.start_mark
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor("tag:yaml.org,2002:map", _mapping_without_duplicates)


def _lines(node: yaml.Node, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*path, key.value), key.start_mark.line + 1
            yield from _lines(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _lines(value, (*path, index))

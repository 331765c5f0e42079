"""No text names a command or an option of nightbench that is not there."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from nightbench.cli.main import COMMANDS, _parser

ROOT = Path(__file__).parents[3]
TEXTS = sorted(
    path
    for pattern in (
        *("*.md", "docs/*.md", "sql/*.md", "infra/**/*.md", "infra/**/*.service"),
        *("infra/**/*.env", "infra/**/*.toml", "infra/*.yaml", "deployments/**/*.yaml"),
        *("src/nightbench/**/*.py", "tasks/*.py", "flows/*.py"),
    )
    for path in ROOT.glob(pattern)
)
# In code spans, and on lines of their own: after a prompt, a comment's sign or a service's path.
_SPAN = re.compile(r"`nightbench ([a-z-][^`]*)`")
_LINE = re.compile(r"^(?:\$ |#   |ExecStart=\S*/)nightbench ([a-z][^`\n]*)$", re.MULTILINE)


def named(path: Path) -> Iterator[str]:
    """What a text says can be typed after `nightbench`."""
    text = path.read_text(encoding="utf-8")
    for pattern in (_SPAN, _LINE):
        for match in pattern.finditer(text):
            yield match[1]


MENTIONS = [(path, words) for path in TEXTS for words in dict.fromkeys(named(path))]


def options_of(command: str) -> set[str]:
    """Every option of a command and of its actions."""
    found: set[str] = set()
    parsers = [_parser([command])._subparsers._group_actions[0].choices[command]]  # type: ignore[union-attr,index]
    for parser in parsers:
        for action in parser._actions:
            found.update(action.option_strings)
            if isinstance(action, argparse._SubParsersAction):
                parsers += action.choices.values()
    return found


def test_there_is_something_to_look_at() -> None:
    assert len(MENTIONS) > 80
    assert {words.split()[0] for _, words in MENTIONS} >= {"run", "plan", "eval", "load", "up"}


@pytest.mark.parametrize(
    ("path", "words"), MENTIONS, ids=[f"{p.relative_to(ROOT)}: {w[:60]}" for p, w in MENTIONS]
)
def test_a_command_that_is_named_is_there_with_its_options(path: Path, words: str) -> None:
    command = words.split(maxsplit=1)[0]
    if command.startswith("--"):
        assert command in {"--version", "--help"}
        return
    assert command in COMMANDS, f"{path}: nightbench {words}"
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", re.split(r" #|  +", words)[0]))
    assert used <= options_of(command), f"{path}: nightbench {words}"


LINES = [
    (path, line)
    for path in TEXTS
    if path.suffix == ".md"
    for block in re.findall(r"```\w*\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    for line in re.findall(r"^(?:\$ )?nightbench ([a-z][^|<>\n]*)$", block, re.MULTILINE)
    if "…" not in line
]


@pytest.mark.parametrize(
    ("path", "line"), LINES, ids=[f"{p.relative_to(ROOT)}: {w[:60]}" for p, w in LINES]
)
def test_a_line_that_can_be_copied_is_taken_as_it_stands(path: Path, line: str) -> None:
    words = shlex.split(line, comments=True)
    assert _parser(words).parse_args(words), path

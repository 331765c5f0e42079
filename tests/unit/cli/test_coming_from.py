"""docs/coming-from.md: every line that it tells people to type is one that nightbench takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from nightbench.accuracy import benchmarks
from nightbench.cli import eval_command, load_arguments
from nightbench.cli.main import _parser
from nightbench.night.planning import plan_suite
from nightbench.resources import suites_dir
from nightbench.suite.file import find_suite, read_suite

DOC = Path(__file__).parents[3] / "docs" / "coming-from.md"
LINES = re.findall(r"^nightbench .*$", DOC.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_lines_are_found() -> None:
    assert len(LINES) >= 15
    assert {line.split()[1] for line in LINES} == {
        "run",
        "plan",
        "fetch",
        "rehearse",
        "eval",
        "load",
        "new-suite",
    }


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_taken_as_it_stands(line: str) -> None:
    words = shlex.split(line)[1:]
    args = _parser(words).parse_args(words)
    match words[0]:
        case "run" | "plan" | "fetch" | "rehearse":
            file = read_suite(find_suite(words[1]))
            assert plan_suite(file.suite)
        case "eval":
            assert benchmarks.find(eval_command._spec(args).benchmark)
        case "load":
            assert load_arguments.spec_of(args).num_prompts


def test_every_suite_that_ships_is_named_there() -> None:
    ran = {words[2] for line in LINES if (words := line.split())[1] == "run"}
    assert {path.stem for path in suites_dir().glob("*.yaml")} - ran == {"starter"}


def test_every_option_of_load_that_it_names_is_one() -> None:
    table = (
        DOC.read_text(encoding="utf-8").split("| `evalscope perf` | here |")[1].split("\n## ")[0]
    )
    here = " ".join(line.split("|")[2] for line in table.splitlines() if line.count("|") >= 3)
    named = set(re.findall(r"(--[a-z][a-z-]+)", here))
    words = ["load", "--base-url", "http://h", "--max-concurrency", "1"]
    known = {
        flag
        for action in _parser(words)._subparsers._group_actions[0].choices["load"]._actions  # type: ignore[union-attr,index]
        for flag in action.option_strings
    }
    assert named <= known
    assert len(named) > 15

"""YAML in bounds: what a file may not stand for is refused with its line, before it is built."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest

from nightbench.suite import bounded_yaml
from nightbench.suite.bounded_yaml import MOST_BYTES, MOST_DEPTH, MOST_VALUES, YamlProblem


def problem(text: str) -> str:
    with pytest.raises(YamlProblem) as refused:
        bounded_yaml.parse(text)
    return str(refused.value)


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def laughs(levels: int) -> str:
    """Each line is nine times the one before."""
    lines = ["- &a0 [lol]"]
    lines += [f"- &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


def test_values_and_the_lines_of_keys_are_read() -> None:
    document = bounded_yaml.parse("a: 1\nb:\n  - c: x\n")
    assert document.value == {"a": 1, "b": [{"c": "x"}]}
    assert document.lines[("b", 0, "c")] == 3


def test_an_alias_is_what_it_stands_for() -> None:
    text = "- &e {kind: vllm, args: {x: 1}}\n- *e\n- {<<: *e, kind: sglang}\n"
    document = bounded_yaml.parse(text)
    first, second, third = document.value
    assert first == second == {"kind": "vllm", "args": {"x": 1}}
    assert third == {"kind": "sglang", "args": {"x": 1}}


def test_a_few_lines_that_stand_for_gigabytes_are_refused_at_the_alias_that_is_too_many() -> None:
    assert problem(laughs(20)).startswith(f"line 6, column 8: more than {MOST_VALUES:,} values")


def test_a_long_text_that_is_said_again_and_again_counts_too() -> None:
    text = f"- &a {'x' * 100_000}\n" + "- *a\n" * 1000
    assert problem(text).startswith("line 20, column 3: more than")


def test_merged_mappings_that_double_each_time_are_refused() -> None:
    lines = ["- &a0 {k: v}"]
    lines += [f"- &a{n} {{<<: [*a{n - 1}, *a{n - 1}], k{n}: v}}" for n in range(1, 40)]
    assert "more than" in problem("\n".join(lines))


def test_nesting_is_read_as_deep_as_it_may_be_and_no_deeper() -> None:
    bounded_yaml.parse(nested(MOST_DEPTH))
    expected = f"line 1, column {MOST_DEPTH + 1}: it is nested more than {MOST_DEPTH} deep"
    assert problem(nested(MOST_DEPTH + 1)) == expected
    for text in ("[" * 10_000, "{a: " * 10_000, "- " * 10_000, nested(10_000)):
        assert f"nested more than {MOST_DEPTH} deep" in problem(text)


def test_nesting_that_aliases_add_up_to_counts() -> None:
    half = MOST_DEPTH // 2 + 1
    assert problem(f"- &a {nested(half)}\n- {'[' * half}*a{']' * half}\n").startswith("line 2")


@pytest.mark.parametrize("text", ["a: &a [*a]", "&a {b: *a}", "- &a\n  <<: *a\n"])
def test_what_stands_inside_of_itself_is_refused(text: str) -> None:
    assert "*a refers to itself" in problem(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\na: 2", "line 2, column 1: the key 'a' appears twice"),
        ("? [a]\n: b", "line 1, column 3: a key must be text, not a list or mapping"),
        ("{a: 1}: b", "line 1, column 1: a key must be text, not a list or mapping"),
        ("a: 2020-99-99", "line 1, column 4: month must be in 1..12"),
        (f"a: {'9' * 5000}", "line 1, column 4: a number of more than 100 characters"),
        (f"a: 1{':1' * 5000}", "line 1, column 4: a number of more than 100 characters"),
        ("a: *b", "line 1, column 4: found undefined alias 'b'"),
        ("a: !!bool maybe", "line 1, column 4: 'maybe' is not a value"),
        ("a: !!int ''", "line 1, column 4: '' is not a value"),
        (r'a: "\UFFFFFFFF"', "not valid YAML: "),
        ("a: !!python/name:os.system", "line 1, column 4: could not determine a constructor"),
        ("a: 1\n--- \nb: 1", "line 2, column 1: but found another document"),
        ("a: [", "line 1, column 5: "),
        ("a: \0", "not valid YAML: "),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, expected: str) -> None:
    assert problem(text).startswith(expected)


@pytest.mark.parametrize(
    "text",
    ["[" * MOST_BYTES, "- a\n" * (MOST_BYTES // 4), "'" * (MOST_BYTES - 1)],
    ids=["open", "values", "quotes"],
)
def test_as_large_a_file_as_may_be_is_read_or_refused_in_time(text: str) -> None:
    began_s = time.process_time()
    with contextlib.suppress(YamlProblem):
        bounded_yaml.parse(text)
    assert time.process_time() - began_s < 60


def test_a_file_is_no_larger_than_it_may_be(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text("#" * MOST_BYTES)
    assert len(bounded_yaml.read_text(path)) == MOST_BYTES
    path.write_text("#" * (MOST_BYTES + 1))
    with pytest.raises(YamlProblem, match="larger than 1,000,000 bytes"):
        bounded_yaml.read_text(path)

"""JSON that could crash its reader, or fill its memory, is an error like any other."""

from __future__ import annotations

import pytest

from nightbench.untrusted import json_reader
from nightbench.untrusted.json_reader import MOST_VALUES
from nightbench.untrusted.limits import TooLarge


@pytest.mark.parametrize("text", ['{"a": [1, "b"]}', b'{"a": [1, "b"]}'])
def test_json_is_read(text: str | bytes) -> None:
    assert json_reader.loads(text) == {"a": [1, "b"]}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 100_000, "9" * 5000, b"\xff"],
)
def test_what_cannot_be_read_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        json_reader.loads(text)


@pytest.mark.parametrize("one", [b"{}", b"[]", b"0", b'"a"', b'{"a":0}'])
def test_more_values_than_may_be_are_too_large_before_one_is_made(one: bytes) -> None:
    text = b"[" + (one + b",") * MOST_VALUES + one + b"]"
    for asked in (text, text.decode()):
        with pytest.raises(TooLarge):
            json_reader.loads(asked)


def test_a_long_text_of_few_commas_is_read() -> None:
    text = "a" * 3_000_000
    assert json_reader.loads(f'["{text}"]') == [text]

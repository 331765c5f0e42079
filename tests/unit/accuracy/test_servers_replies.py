"""What servers answer when they are asked for a whole completion."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nightbench.accuracy.replies import AskFailed, parse_reply


def reply_of(message: dict[str, Any], finish: str = "stop") -> bytes:
    return json.dumps({"choices": [{"message": message, "finish_reason": finish}]}).encode()


@pytest.mark.parametrize(
    ("message", "text", "reasoning"),
    [
        ({"content": "B"}, "B", None),
        ({"content": [{"type": "text", "text": "B"}]}, "B", None),
        ({"content": None, "refusal": "no"}, "no", None),
        ({"content": "B", "reasoning": "hm"}, "B", "hm"),
        ({"content": "B", "reasoning_content": "hm", "reasoning": "x"}, "B", "hm"),
        ({"content": "B", "reasoning_details": [{"text": "h"}, {"text": "m"}]}, "B", "hm"),
        ({"content": "B", "thinking": "hm"}, "B", "hm"),
    ],
)
def test_answers_and_thoughts_are_known_under_the_names_that_load_knows(
    message: dict[str, Any], text: str, reasoning: str | None
) -> None:
    reply = parse_reply(reply_of(message))
    assert (reply.text, reply.reasoning) == (text, reasoning)


@pytest.mark.parametrize(
    "said",
    [
        b'{"error": {"message": "out of memory"}}',
        b'{"object": "error", "message": "out of memory"}',
        b'{"message": "out of memory", "code": 500}',
        b'{"choices": [{"error": "out of memory"}]}',
    ],
)
def test_an_error_that_is_called_an_answer_is_none(said: bytes) -> None:
    with pytest.raises(AskFailed, match="out of memory") as failed:
        parse_reply(said)
    assert failed.value.kind == "server_error"


@pytest.mark.parametrize("finish", ["error", "abort"])
def test_an_answer_that_was_given_up_is_none(finish: str) -> None:
    with pytest.raises(AskFailed, match=finish):
        parse_reply(reply_of({"content": "B"}, finish))


def test_no_choices_are_no_answer() -> None:
    with pytest.raises(AskFailed, match="not a completion"):
        parse_reply(b'{"choices": []}')

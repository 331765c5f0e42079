"""What an event of a completion stream carries: output, usage, a finish reason or an error."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

_PLAIN_TAIL = 400  # an event longer than this around its text is parsed every time
_PLAIN_TEXT = re.compile(rb'[^"\\\x00-\x1f]+')  # inside a JSON string, nothing else than itself


@dataclass(slots=True)
class StreamContent:
    """What the events of one response have said so far. `chunks` holds the read each came in."""

    chunks: list[int] = field(default_factory=list)
    completion_counts: list[int] = field(default_factory=list)  # where chunks said so
    first_answer: int | None = None  # position in `chunks`
    usage: dict[str, Any] | None = None
    continuous_usage: bool = False
    finish_reason: str | None = None
    done: bool = False
    problem: tuple[str, str] | None = None  # (error kind, what was said)


class EventReader:
    """Reads the data of events into a StreamContent.

    Most events of a stream differ only in their text. Once one was parsed, an event with the same
    bytes around a text without quotes or escapes is known to be another like it and is not parsed.
    """

    __slots__ = ("_after", "_answers", "_before", "content")

    def __init__(self) -> None:
        self.content = StreamContent()
        self._before = b""
        self._after = b""
        self._answers = False

    def read_plain(self, piece: bytes, read_index: int) -> bool:
        """Take in a piece of the stream if it is one event like the one before; whether it was."""
        before, after = self._before, self._after
        if not before or not piece.startswith(before) or not piece.endswith(after):
            return False
        if _PLAIN_TEXT.fullmatch(piece, len(before), len(piece) - len(after)) is None:
            return False
        content = self.content
        if self._answers and content.first_answer is None:
            content.first_answer = len(content.chunks)
        content.chunks.append(read_index)
        return True

    def read(self, data: bytes, read_index: int) -> None:
        """Take in the data of one event that was complete with read `read_index`."""
        content = self.content
        if data.strip() == b"[DONE]":
            content.done = True
            return
        try:
            event = json.loads(data)
        except ValueError as error:
            self._problem("malformed", f"{error}: {data[:200]!r}")
            return
        if not isinstance(event, dict):
            self._problem("malformed", f"not an object: {data[:200]!r}")
            return
        if event.get("error"):
            self._problem("stream_error", _error_text(event["error"]))
            return
        counted = self._usage(event.get("usage"))
        choices = event.get("choices")
        if not isinstance(choices, list):
            if counted is None:
                self._problem("malformed", f"neither choices nor usage: {data[:200]!r}")
            return
        output, answers, text = False, False, ""
        for choice in choices:
            text, is_output, is_answer = _delta(choice)
            output, answers = output or is_output, answers or is_answer
            reason = choice.get("finish_reason") if isinstance(choice, dict) else None
            content.finish_reason = reason or content.finish_reason
        if output:
            self._output(read_index, counted, answers=answers)
            if len(choices) == 1 and counted is None and not choices[0].get("finish_reason"):
                self._learn(data, text, answers=answers)

    def _usage(self, usage: object) -> int | None:
        if not isinstance(usage, dict):
            return None
        if self.content.usage is not None:
            self.content.continuous_usage = True
        self.content.usage = usage
        counted = usage.get("completion_tokens")
        return counted if isinstance(counted, int) else None

    def _output(self, read_index: int, counted: int | None, *, answers: bool) -> None:
        content = self.content
        if answers and content.first_answer is None:
            content.first_answer = len(content.chunks)
        content.chunks.append(read_index)
        if counted is not None:
            content.completion_counts.append(counted)

    def _learn(self, data: bytes, text: str, *, answers: bool) -> None:
        quoted = b'"' + text.encode() + b'"'
        if not text or data.count(quoted) != 1 or len(data) - len(quoted) > _PLAIN_TAIL:
            return
        before, _, after = data.partition(quoted)
        self._before = b"data: " + before + b'"'
        self._after = b'"' + after + b"\n\n"
        self._answers = answers

    def _problem(self, kind: str, text: str) -> None:
        if self.content.problem is None:
            self.content.problem = (kind, text)


def _delta(choice: object) -> tuple[str, bool, bool]:
    """(the text, whether it is output at all, whether it is answer) of one choice."""
    if not isinstance(choice, dict):
        return "", False, False
    delta = choice.get("delta") or choice.get("message")
    if not isinstance(delta, dict):
        text = choice.get("text") or ""
        return text if isinstance(text, str) else "", bool(text), bool(text)
    answer = delta.get("content") or ""
    if isinstance(answer, str) and answer:
        return answer, True, True
    if answer or delta.get("tool_calls") or delta.get("function_call"):
        return "", True, True
    thought = delta.get("reasoning_content") or delta.get("reasoning") or ""
    return thought if isinstance(thought, str) else "", bool(thought), False


def _error_text(error: object) -> str:
    if isinstance(error, dict):
        return str(error.get("message") or error)[:500]
    return str(error)[:500]

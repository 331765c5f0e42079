"""What an event of a completion stream carries: output, usage, a finish reason or an error."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nightbench.load.parse.sse import event_data, event_end, next_event
from nightbench.untrusted import json_reader
from nightbench.untrusted.counts import as_count
from nightbench.untrusted.limits import TooLarge

_MOST_AROUND = 400  # an event longer than this around its text is parsed every time
_MOST_EVENTS = 1_000_000  # of one answer; answers.c has it too
_MOST_PROBLEMS = 10_000
_NEWLINE = ord("\n")
_WINDOW_BYTES = 1 << 16  # alike events are looked for so far ahead
# Of "before NUL after NUL stream": the events that are before, the inside of a JSON string, after.
_ALIKE = re.compile(
    rb"([^\0]+)\0([^\0]+)\0"
    rb'(?:\1(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))++\2)*+'
)


# Of what a server said, as an error: secrets are taken out before it is cut to what is kept.
QUOTED = 8000

Translate = Callable[[Any], Any]  # an event of another shape to one of OpenAI's


@dataclass(slots=True)
class StreamContent:
    """What the events of one response have said. `ends`: where in the body each output chunk was
    complete."""

    ends: list[int] = field(default_factory=list)
    completion_counts: list[int] = field(default_factory=list)  # where chunks said so
    first_answer: int | None = None  # position in `ends`
    usage: dict[str, Any] | None = None
    finish_reason: str | None = None
    done: bool = False
    problem: tuple[str, str] | None = None  # (error kind, what was said)


def read_stream(body: bytes, *, whole: bool, translate: Translate | None = None) -> StreamContent:
    """What a body of server-sent events says; `whole`: its last event may lack its blank line."""
    reader = _EventReader(translate)
    at = 0
    while True:
        at = next_event(body, reader.read_alike(body, at))
        end = event_end(body, at)
        if end < 0:
            break
        reader.read_event(body[at:end], end)
        at = end
        if reader.events > _MOST_EVENTS:
            reader.problem("too_large", f"more than {_MOST_EVENTS:,} events")
            break
        if reader.problems > _MOST_PROBLEMS:
            break  # it is no stream, and will be none
    if whole:
        reader.read_event(body[at:], len(body))
    return reader.content


def read_answer(body: bytes, translate: Translate | None = None) -> StreamContent:
    """What a body that is one JSON object says."""
    reader = _EventReader(translate)
    reader.read(body, len(body))
    return reader.content


class _EventReader:
    """Reads events into a StreamContent.

    Most events of a stream differ only in their text. Once one was parsed, those with the same
    bytes around a text are known to be others like it, and are not parsed.
    """

    __slots__ = ("_answers", "_before", "_learned", "_translate", "content", "events", "problems")

    def __init__(self, translate: Translate | None = None) -> None:
        self.content = StreamContent()
        self.events = self.problems = 0
        self._translate = translate
        self._before = self._learned = b""
        self._answers = False

    def read_alike(self, body: bytes, at: int) -> int:
        """Take in the events from `at` on that are like the one learned; where they end."""
        learned = self._learned
        while learned and body.startswith(self._before, at):
            found = _ALIKE.match(learned + body[at : at + _WINDOW_BYTES])
            size = found.end() - len(learned) if found else 0
            if size <= 0 or not _is_utf8(body[at : at + size]):
                break
            # No text holds a newline: each event has the two it ends with.
            newlines = np.flatnonzero(np.frombuffer(body, np.uint8, size, at) == _NEWLINE)
            self._chunks((newlines[1::2] + (at + 1)).tolist(), answers=self._answers)
            self.events += len(newlines) // 2
            at += size
        return at

    def read_event(self, event: bytes, end: int) -> None:
        """Take in one event, whose last byte is before `end`."""
        self.events += 1
        try:
            data = event_data(event)
        except TooLarge as error:
            self.problem("too_large", str(error))
            return
        if data is not None:
            self.read(data, end)

    def read(self, data: bytes, end: int) -> None:
        """Take in the data of one event."""
        content = self.content
        if data.strip() == b"[DONE]":
            content.done = True
            return
        try:
            event = json_reader.loads(data)
        except ValueError as error:
            kind = "too_large" if isinstance(error, TooLarge) else "malformed"
            self.problem(kind, f"{error}: {data[:QUOTED]!r}")
            return
        if self._translate is not None:
            event = self._translated(event)
        if not isinstance(event, dict):
            self.problem("malformed", f"not an object: {data[:QUOTED]!r}")
            return
        if event.get("error"):
            self.problem("stream_error", _error_text(event["error"]))
            return
        counted = self._usage(event.get("usage"))
        choices = event.get("choices")
        if not isinstance(choices, list):
            if counted is None:
                self.problem("malformed", f"neither choices nor usage: {data[:QUOTED]!r}")
            return
        text, output, answers = self._choices(choices)
        if not output:
            return
        self._chunks([end], answers=answers)
        if counted is not None:
            content.completion_counts.append(counted)
        alone = len(choices) == 1 and not choices[0].get("finish_reason")
        # Of another shape's events only the person's own parser knows which are alike.
        if alone and event.get("usage") is None and self._translate is None:
            self._learn(data, text, answers=answers)

    def _choices(self, choices: list[object]) -> tuple[str, bool, bool]:
        """(the last one's text, whether any is output at all, whether any is answer)."""
        text, output, answers = "", False, False
        for choice in choices:
            text, is_output, is_answer = _delta(choice)
            output, answers = output or is_output, answers or is_answer
            reason = choice.get("finish_reason") if isinstance(choice, dict) else None
            if reason and isinstance(reason, str):
                self.content.finish_reason = reason
        return text, output, answers

    def _translated(self, event: object) -> object:
        """What the person's own parser makes of an event; its failure is the request's."""
        try:
            return self._translate(event) if self._translate else event
        except Exception as error:  # noqa: BLE001 - it is somebody's code
            self.problem("malformed", f"the response parser: {type(error).__name__}: {error}")
            return {"choices": []}

    def _usage(self, usage: object) -> int | None:
        if not isinstance(usage, dict):
            return None
        self.content.usage = usage
        return as_count(usage.get("completion_tokens"))

    def _chunks(self, ends: list[int], *, answers: bool) -> None:
        content = self.content
        if answers and content.first_answer is None:
            content.first_answer = len(content.ends)
        content.ends += ends

    def _learn(self, data: bytes, text: str, *, answers: bool) -> None:
        quoted = b'"' + text.encode(errors="surrogatepass") + b'"'
        if not text or data.count(quoted) != 1 or len(data) - len(quoted) > _MOST_AROUND:
            return
        if b"\\" in data or b"\0" in data:
            return  # the text may stand there in another spelling, or in another encoding
        before, _, after = data.partition(quoted)
        self._before = b"data: " + before + b'"'
        self._learned = self._before + b'\0"' + after + b"\n\n\0"
        self._answers = answers

    def problem(self, kind: str, text: str) -> None:
        """Remember what is wrong, unless something was wrong before."""
        self.problems += 1
        if self.content.problem is None:
            self.content.problem = (kind, text)


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


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
    said = error.get("message") or error if isinstance(error, dict) else error
    try:
        return str(said)[:QUOTED]
    except RecursionError:
        return "an error that is nested too deeply to be told"

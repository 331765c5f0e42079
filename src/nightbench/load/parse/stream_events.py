"""What an event of a completion stream carries: output, usage, a finish reason or an error."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nightbench.load.parse.sse import Fields, event_end, fields_of, next_event
from nightbench.load.parse.token_counts import merged_usage
from nightbench.untrusted import json_reader
from nightbench.untrusted.completion_errors import error_in, is_failure
from nightbench.untrusted.counts import as_count
from nightbench.untrusted.deltas import output_of
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
    usage: dict[str, int] = field(default_factory=dict)  # by flat names; {}: none was said
    counted_at: int = 0  # how many chunks there were when completion tokens were last said
    finish_reason: str | None = None
    done: bool = False
    foreign: int = 0  # events of other kinds, read over …
    foreign_said: bytes = b""  # … and the first of them
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
        if reader.content.done or reader.problems > _MOST_PROBLEMS:
            return reader.content  # over; or it is no stream, and will be none
    if whole:
        reader.read_event(body[at:], len(body))
    return reader.content


def read_answer(body: bytes, translate: Translate | None = None) -> StreamContent:
    """What a body that is one JSON object says."""
    reader = _EventReader(translate)
    reader.read(Fields(body), len(body))
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
            fields = fields_of(event)
        except TooLarge as error:
            self.problem("too_large", str(error))
            return
        if fields.error is not None:
            self.problem("stream_error", fields.error[:QUOTED].decode(errors="replace"))
        elif fields.data is not None:
            self.read(fields, end)

    def read(self, fields: Fields, end: int) -> None:
        """Take in what an event says."""
        data = fields.data or b""
        if data.strip() == b"[DONE]":
            self.content.done = True
            return
        event = self._parsed(fields, data)
        if event is None:
            return
        error = error_in(event)
        if error is not None or fields.name == b"error":
            self.problem("stream_error", _error_text(error or event))
            return
        usage = event.get("usage")
        counted = self._usage(usage)
        choices = event.get("choices")
        if isinstance(choices, list):
            self._take(choices, data, end, counted, is_counted=usage is not None)
        elif counted is None:
            self._foreign(data)
        if counted is not None:
            self.content.counted_at = len(self.content.ends)

    def _parsed(self, fields: Fields, data: bytes) -> dict[str, Any] | None:
        """The event; None for one that is no completion's, or is broken."""
        failed = fields.name == b"error"
        try:
            event = json_reader.loads(data) if data.strip() else None
        except ValueError as error:
            if not fields.name or isinstance(error, TooLarge):
                kind = "too_large" if isinstance(error, TooLarge) else "malformed"
                self.problem(kind, f"{error}: {data[:QUOTED]!r}")
                return None
            event = data[:QUOTED].decode(errors="replace")  # of another kind, by its name
        if self._translate is not None and event is not None:
            event = self._translated(event)
        if isinstance(event, dict):
            return event
        if failed:
            return {"error": event or "an error without a message"}
        self._foreign(data)
        return None

    def _foreign(self, data: bytes) -> None:
        """An event of another kind: read over, and counted."""
        content = self.content
        content.foreign_said = content.foreign_said or data[:QUOTED]
        content.foreign += 1

    def _take(
        self, choices: list[Any], data: bytes, end: int, counted: int | None, *, is_counted: bool
    ) -> None:
        """Take in the choices of an event."""
        text, output, answers = self._choices(choices)
        if not output:
            return
        self._chunks([end], answers=answers)
        if counted is not None:
            self.content.completion_counts.append(counted)
        alone = len(choices) == 1 and not choices[0].get("finish_reason")
        # Of another shape's events only the person's own parser knows which are alike.
        if alone and not is_counted and self._translate is None:
            self._learn(data, text, answers=answers)

    def _choices(self, choices: list[object]) -> tuple[str, bool, bool]:
        """(the last one's text, whether any is output at all, whether any is answer)."""
        text, output, answers = "", False, False
        for choice in choices:
            found = output_of(choice)
            text = found.text
            output, answers = output or found.is_any, answers or found.is_answer
            reason = choice.get("finish_reason") if isinstance(choice, dict) else None
            if reason and isinstance(reason, str):
                self.content.finish_reason = reason
                if is_failure(reason):
                    self.problem("stream_error", f"finish_reason {reason}")
        return text, output, answers

    def _translated(self, event: object) -> object:
        """What the person's own parser makes of an event; its failure is the request's."""
        try:
            return self._translate(event) if self._translate else event
        except Exception as error:  # noqa: BLE001 - it is somebody's code
            self.problem("malformed", f"the response parser: {type(error).__name__}: {error}")
            return None

    def _usage(self, usage: object) -> int | None:
        if not isinstance(usage, dict):
            return None
        self.content.usage = merged_usage(self.content.usage, usage)
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


def _error_text(error: object) -> str:
    said = error.get("message") or error if isinstance(error, dict) else error
    try:
        return str(said)[:QUOTED]
    except RecursionError:
        return "an error nested too deeply to show"

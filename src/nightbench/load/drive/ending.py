"""Where an answer is over by what it says, whatever the response around it still does.

Servers have been seen to say [DONE] and to leave the response open, for minutes. What is looked at
is the body as it came, event by event, once something in it may be an end.
"""

from __future__ import annotations

import re

_MS = 1_000_000
# From [DONE], from a finish reason with usage, and from one without, until the answer is taken for
# over. The end of a response comes with [DONE] or right behind it; usage follows a finish reason.
_PATIENCE_MS = {"done": 50, "counted": 250, "finished": 1000}
_KNOWN_TO_STAY = 10  # where a server has left responses open before: by so much less

# What may be the end, in bytes that were not parsed. wire.c looks for the same.
HINT = re.compile(rb'DONE\]|0\r\n\r\n|finish_reason":[ \t]*"')

_DONE = re.compile(rb"(?:\A|[\r\n])data:[ \t]*\[DONE\][ \t]*(?=[\r\n])")
_FINISHED = re.compile(rb'(?<!\\)"finish_reason"\s*:\s*"')
_COUNTED = re.compile(rb'(?<!\\)"completion_tokens"\s*:\s*\d')
_SAID = re.compile(rb"(?:\A|[\r\n])data:")
_MOST_LINE_BYTES = 65536


class Ending:
    """What one answer's body has said of its end so far."""

    __slots__ = ("_begun", "_choices", "_counted", "_finished", "_pieces", "is_done")

    def __init__(self, choices: int) -> None:
        self._choices = choices
        self._pieces: list[bytes] = []
        self._begun = b""  # a line whose end has not come
        self._finished = 0
        self._counted = self.is_done = False

    def add(self, piece: bytes) -> None:
        """Take in a piece of the body."""
        self._pieces.append(piece)

    @property
    def is_finished(self) -> bool:
        """Whether every choice has said why it ended."""
        return self._finished >= self._choices

    def look(self) -> str | None:
        """What is new in the pieces: `done`, `counted`, `finished`; None where no end is near, or
        nothing but comments has come."""
        if not self._pieces:
            return None
        news = self._begun + b"".join(self._pieces)
        self._pieces.clear()
        whole = max(news.rfind(b"\n"), news.rfind(b"\r")) + 1
        lines, self._begun = news[:whole], news[whole:][-_MOST_LINE_BYTES:]
        if _DONE.search(lines):
            self.is_done = True
            return "done"
        self._finished += len(_FINISHED.findall(lines))
        self._counted = self._counted or _COUNTED.search(lines) is not None
        if not self.is_finished or not _SAID.search(lines):
            return None
        return "counted" if self._counted else "finished"


def patience_ns(end: str, *, stays_open: bool) -> int:
    """How long to wait for the end of a response whose answer is over."""
    return _PATIENCE_MS[end] * _MS // (_KNOWN_TO_STAY if stays_open else 1)

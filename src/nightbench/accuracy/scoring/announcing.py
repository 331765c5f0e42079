"""How a reply presents an answer, and how it denies or supposes one.

For the strict readers: EvalScope's readings know nothing of it. Everything here is linear in the
text: no pattern repeats what it may also take apart otherwise.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable

_SPACES = re.compile(r"[^\S\n]+")
_LINES = re.compile(r" ?\n[\s]*")
_CLAUSE_END = re.compile(r"[,，.!?。！？;；:：\n]|\bthen\b|则|那么")
_SUPPOSING = re.compile(
    r"(?i)\b(?:if|suppose|supposing|assume|assuming|were|unless|whether|when|why|wrong|incorrect|"
    r"distractor|mistaken|tempting|people|students|others|many)\b|如果|假如|假设|若|要是|倘若|即使|设|错误|误选|为什么|为何|有人|很多人|许多人"
)
_DENYING = re.compile(
    r"(?i)\b(?:not|never|cannot|can't|isn't|doesn't|don't|wouldn't|won't|neither|nor)\b"
    r"|不|没|别|勿|非|未"
)
_CLAUSE_CHARS = 120
_MOST_ANNOUNCEMENTS = 200
_HEAD_CHARS, _TAIL_CHARS = 2000, 100_000


def last_of(matches: Iterable[re.Match[str]]) -> Iterable[re.Match[str]]:
    """The last of them, as many as an author may mean."""
    return deque(matches, maxlen=_MOST_ANNOUNCEMENTS)


def ends_of(text: str) -> str:
    """The beginning and the end of a text that nobody would read to its end."""
    if len(text) <= _HEAD_CHARS + _TAIL_CHARS:
        return text
    return f"{text[:_HEAD_CHARS]}\n\n{text[-_TAIL_CHARS:]}"


def squeezed(text: str) -> str:
    """Runs of blanks as one; of lines that are empty one is kept."""
    return _LINES.sub(_one_or_two, _SPACES.sub(" ", text)).strip()


def _one_or_two(lines: re.Match[str]) -> str:
    return "\n\n" if lines.group().count("\n", 0, 200) > 1 else "\n"


def is_supposed(text: str, at: int) -> bool:
    """Whether what is announced at `at` is only supposed, or called wrong, in its own clause."""
    return _SUPPOSING.search(_clause_before(text, at)) is not None


def is_denied(text: str, at: int) -> bool:
    """Whether the words right before `at`, in its own clause, deny what follows."""
    return _DENYING.search(_clause_before(text, at)) is not None


def denies(words: str) -> bool:
    """Whether there is a denial in a few words."""
    return _DENYING.search(words) is not None


def _clause_before(text: str, at: int) -> str:
    before = text[max(0, at - _CLAUSE_CHARS) : at]
    ends = [match.end() for match in _CLAUSE_END.finditer(before)]
    return before[ends[-1] :] if ends else before

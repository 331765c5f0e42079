"""The answer that a mathematical reply presents as final, as text.

The last whole box that is not empty; else the last of `#### x` and of the announcements ("the
answer is x", `Answer: x`, 答案：x) that is neither denied nor supposed. A heading is no answer. The
faithful reading falls back to the last number of any text; this one does not. Linear in the reply.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from nightbench.accuracy.scoring.announcing import (
    denies,
    ends_of,
    is_denied,
    is_supposed,
    last_of,
    squeezed,
)

_BOX = re.compile(r"\\(?:boxed|fbox)[ \t]?(?:(\{)|(\d[\d.,]{0,30}|[A-Za-z])(?![A-Za-z]))")
_NO_ANSWER = re.compile(r"\*\*|__|\\(?:boxed|fbox)[ \t]?\{\s*\}")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_HASHES = re.compile(r"(?m)^ ?#### ?(?P<value>[^\n]+)$")
_MARKER = re.compile(
    r"""(?imx)
    (?: <answer>
      | \banswer \s?
        (?: [:：=] | (?:is|was|would\sbe|should\sbe|must\sbe|comes\sto)\b (?:\s?[:：])? )
      | ^(?:\#{1,6}\s)?(?:the\s)?(?:final\s)?answer$
      | [【\[](?:最终|正确|参考)?答案[】\]]\s?[:：]?
      | 答案\s?(?:应该是|应为|就是|不是|是|为|[:：=]) \s?[:：]?
    )"""
)
_BEFORE = re.compile(
    r"(?i)(?:\s|\b(?:not|indeed|therefore|thus|then|exactly|simply|approximately|about|again|just|"
    r"equal to|given by)\b){0,8}"
)
_END = re.compile(
    r"""(?x)
    \.(?=\s|$) | [?](?=\s|$) | [。；！？，] | \n | ,\s(?=[a-z]{2,}|[A-Z][a-z]) | ;\s | </answer>
    | \s(?:because|since|as|where|which|so|and\sso)\s"""
)
_UNIT = re.compile(
    r"^(?P<number>[$€£¥]?\s?[+-]?(?:\d[\d,]*)(?:\.\d+)?(?:/\d+)?%?)"
    r"(?:\s?(?!or\b|and\b|to\b|[或和])(?:[A-Za-z]{2,}|°|[一-鿿]|\()[^=\\$]*)$"
)
_SUM = re.compile(r"^[\d\s+\-*/×÷().,$]*=\s*(?P<value>[^=]+)$")
_WORD = re.compile(r"[A-Za-z]{3,}|[一-鿿]{2,}")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_NUMBERED = re.compile(r"\d{1,3}[.)、:：]\s?\S*[A-Za-z一-鿿]")
_DISPLAYS = (("\\[", "\\]"), ("$$", "$$"))
_MOST_CHARS = 400  # of an answer's line


def read_final_answer(reply: str) -> str | None:
    """The answer a reply presents as final, None where it presents none."""
    boxes = [box for box in _boxes(reply) if box]
    if boxes:
        return boxes[-1]
    text = squeezed(_NO_ANSWER.sub("", ends_of(reply)))
    found = [*_announced(text), *_hashed(text)]
    return max(found)[1] if found else None


def _hashed(text: str) -> Iterator[tuple[int, str]]:
    for match in last_of(_HASHES.finditer(text)):
        value = _trimmed(match["value"])
        if _is_value(value) and not _NUMBERED.match(value):
            yield match.start(), value


def _announced(text: str) -> Iterator[tuple[int, str]]:
    for marker in last_of(_MARKER.finditer(text)):
        before = _BEFORE.match(text, marker.end())
        start = before.end() if before else marker.end()
        words = (before.group() if before else "") + marker.group()
        if denies(words) or is_denied(text, marker.start()) or is_supposed(text, marker.start()):
            continue
        value = _trimmed(_said(text, start))
        if _is_value(value) or (_is_explicit(marker.group()) and _is_one_word(value)):
            yield marker.start(), value


def _said(text: str, start: int) -> str:
    """What is announced: a displayed formula, or the rest of the sentence."""
    said = text[start : start + _MOST_CHARS]
    for opens, closes in _DISPLAYS:
        inside, closed, _ = said.removeprefix(opens).partition(closes)
        if closed and said.startswith(opens) and inside.strip():
            return f"${inside.strip()}$"
    end = _END.search(said)
    return said[: end.start()] if end else said


def _trimmed(text: str) -> str:
    """Without what is around a value: a full stop, units, and the sum it was made of."""
    value = text.strip().rstrip(".。,，;:*").strip()
    made = _SUM.match(value)
    value = made["value"].strip() if made else value
    counted = _UNIT.match(value)
    value = counted["number"].strip() if counted else value
    return value[1:].strip() if value[:1] in "$€£¥" and value.count("$") < 2 else value


def _is_value(text: str) -> bool:
    """A number or formula, rather than words about one."""
    plain = _COMMAND.sub("", text)
    if not text or not (re.search(r"\d", text) or _COMMAND.search(text) or len(plain) <= 3):
        return False
    if re.match(r"[A-Za-z]{3,}", plain) and "=" not in plain:
        return False
    return len(_WORD.findall(plain)) <= 2


def _is_explicit(marker: str) -> bool:
    return marker.rstrip().endswith((":", "：", "=", ">"))


def _is_one_word(value: str) -> bool:
    return bool(value) and len(value) <= 40 and len(value.split()) == 1 and value.isalnum()


def _boxes(text: str) -> Iterator[str]:
    end = 0
    for opening in _BOX.finditer(text):
        if opening.start() < end:
            continue
        if opening.group(1) is None:
            yield opening.group(2).rstrip(".,")
            continue
        close = _closing_brace(text, opening.end())
        if close is None:
            return  # an unfinished box presents nothing, nor do those inside it
        end = close + 1
        yield text[opening.end() : close].strip()


def _closing_brace(text: str, start: int) -> int | None:
    depth = 1
    for brace in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
        if depth == 0:
            return brace.start()
    return None

"""Which label a reply chose: as EvalScope reads it, and as a careful person would.

The faithful reading follows `evalscope/utils/multi_choices.py` of EvalScope 1.14 (Apache-2.0): the
last answer marker that is followed by a label, else the last capital letter of the reply. That
fallback finds an answer in almost any text ("I don't know, Bob" chooses B), so the strict reading
(`strict_choices.py`) takes only a label that the reply presents as its answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from nightbench.accuracy.benchmark import Question, Score
from nightbench.accuracy.scoring.strict_choices import read_label_strictly
from nightbench.accuracy.templates import labels

_MARKER_EN = re.compile(r"(?i)ANSWER\s*:\s*\**\s*")
_MARKER_ZH = re.compile(r"答案\s*[:：]\s*\**\s*")
_BRACKETED = re.compile(r"[\(\[（【]\s*([A-Za-z\d](?:\s*[,，/、]\s*[A-Za-z\d])*)\s*[\)\]）】]")
_LATEX_BEFORE = re.compile(r"(?:(?:\$+|\\\(|\\(?:boxed|fbox|text|textbf|mathbf|mathrm)\s*\{)\s*)*")
_PLAIN = re.compile(r"([A-Za-z\d][A-Za-z\d ,，/、]*)")
_WORD = re.compile(r"[A-Za-z\d]+")
_CONNECTORS = ("and", "or")


def score_choice_en(question: Question, reply: str) -> Score:
    """Score an `ANSWER: X` reply."""
    return _score(question, reply, read_label_en)


def score_choice_zh(question: Question, reply: str) -> Score:
    """Score a `答案：X` reply."""
    return _score(question, reply, read_label_zh)


def read_label_en(reply: str, allowed: tuple[str, ...]) -> str | None:
    """EvalScope's `parse_answers` for one label; None where it finds none."""
    return _read_label(reply, allowed, _MARKER_EN, ".")


def read_label_zh(reply: str, allowed: tuple[str, ...]) -> str | None:
    """EvalScope's `parse_answers_zh` for one label; None where it finds none."""
    return _read_label(reply, allowed, _MARKER_ZH, "。.")


def _score(
    question: Question, reply: str, read: Callable[[str, tuple[str, ...]], str | None]
) -> Score:
    allowed = labels(len(question.choices))
    extracted = read(reply, allowed)
    strict = read_label_strictly(reply, allowed)
    return Score(
        extracted=extracted,
        extracted_strict=strict,
        correct=extracted == question.gold,
        correct_strict=strict == question.gold,
    )


def _read_label(
    reply: str, allowed: tuple[str, ...], marker: re.Pattern[str], full_stops: str
) -> str | None:
    found = _last_marked(reply, allowed, marker)
    if found is None:
        return _last_capital(reply, allowed)
    found = found.strip().rstrip(full_stops)
    return found if found in allowed else None


def _last_marked(reply: str, allowed: tuple[str, ...], marker: re.Pattern[str]) -> str | None:
    for match in reversed(list(marker.finditer(reply))):
        start = match.end()
        latex = _LATEX_BEFORE.match(reply, start)
        start = latex.end() if latex else start
        for pattern in (_BRACKETED, _PLAIN):
            label_match = pattern.match(reply, start)
            leading = _leading_labels(label_match.group(1), allowed) if label_match else ""
            if leading:
                return leading
    return None


def _leading_labels(captured: str, allowed: tuple[str, ...]) -> str:
    """The part of a capture that holds nothing but labels: `B, not C` is B."""
    words = list(_WORD.finditer(captured))
    end = 0
    for index, word in enumerate(words):
        if _is_label(word.group(0), allowed):
            end = word.end()
            continue
        label_follows = index + 1 < len(words) and _is_label(words[index + 1].group(0), allowed)
        if end > 0 and label_follows and word.group(0).lower() in _CONNECTORS:
            continue
        break
    return captured[:end]


def _is_label(word: str, allowed: tuple[str, ...]) -> bool:
    return word in allowed or set(word) <= set(allowed)


def _last_capital(reply: str, allowed: tuple[str, ...]) -> str | None:
    for character in reversed(reply):
        if character.isupper():
            return character if character in allowed else None
    return None

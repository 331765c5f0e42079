"""Which label a reply chose: as EvalScope reads it, and as a careful person would.

The faithful reading follows `evalscope/utils/multi_choices.py` of EvalScope 1.14 (Apache-2.0): the
last answer marker that is followed by a label, else the last capital letter of the reply. That
fallback finds an answer in almost any text ("I don't know, Bob" chooses B), so the strict reading
takes only a label that the reply presents as its answer, and no answer where it presents two.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from nightbench.accuracy.benchmark import Question, Score
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


_STRICT_MARKER = re.compile(
    r"""(?ix)
    (?: \b(?: (?:final|correct|right|best)\s+(?:answer|choice|option) | answer )
        (?: \s+(?:is|would\s+be|should\s+be)\b | \**\s*[:=] )
      | (?: (?:正确|最终|最佳)(?:答案|选项) | 答案 ) \s* (?: 应该是|应为|是|为|[:=] )
      | 选(?:择)?(?!项|择) \s*:?
      | \\boxed (?=\s*\{)
    )""",
)
_STRICT_LABEL = re.compile(
    r"""(?x)
    [\s*_`"'$:\\{(\[【（<]*
    (?:(?:text|textbf|mathbf|mathrm|boxed|option|choice|选项)\s*[\s{(\[:]*)*
    ( [a-zAI](?!\s+(?!because|since|as|and|or)[a-z]) | [B-HJ-Z] | \d{1,2} )
    (?![A-Za-z0-9'’])
    (?P<others>(?:[\s)\]*]*(?:[,/、&]|and\b|or\b|和|或|与)\s*[(\[]?[A-Za-z](?![A-Za-z0-9'’]))*)
    """,
)
_LISTED_CHOICE = re.compile(r"(?m)(?:^|(?<=[:：]))[\s*(]*([A-Z])[*\s]*[).:、]")
_ONLY_LABEL = re.compile(r"""[\s*_`"'$(\[【（]*([A-Za-z])[\s*_`"'$)\]】）.。:：]*""")


def read_label_strictly(reply: str, allowed: tuple[str, ...]) -> str | None:
    """The one label that the reply presents as its answer, in either language, else None.

    The reply is nothing but a label, or its last announcement ("the answer is", 答案：, `\\boxed`,
    "选") is followed by exactly one, or it opens with one choice as the question printed it and
    lists no other. Full-width and lower-case labels are read as their plain form.
    """
    text = unicodedata.normalize("NFKC", reply)
    alone = _ONLY_LABEL.fullmatch(text.strip()) if len(text) < 200 else None
    if alone:
        return _allowed(alone.group(1), allowed)
    for marker in reversed(list(_STRICT_MARKER.finditer(text))):
        match = _STRICT_LABEL.match(text, marker.end())
        chosen = _allowed(match.group(1), allowed) if match else None
        if match and chosen:
            return None if match["others"] else chosen
    return _opening_label(text, allowed)


def _opening_label(text: str, allowed: tuple[str, ...]) -> str | None:
    """`C) Lena` as the reply's first words, unless it goes on to list other choices."""
    listed = {match.group(1) for match in _LISTED_CHOICE.finditer(text)}
    opening = _LISTED_CHOICE.match(text.lstrip())
    return _allowed(opening.group(1), allowed) if opening and len(listed) == 1 else None


def _allowed(found: str, allowed: tuple[str, ...]) -> str | None:
    return found.upper() if found.upper() in allowed else None

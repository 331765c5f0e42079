"""Free answers with a short gold: right when the reply says it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from nightbench.accuracy.benchmark import Question, Score

_SENTENCE_END = re.compile(r"[.!?。！？](?=\s|$|[\"'”’])|\n")


def score_phrase(question: Question, reply: str) -> Score:
    """Right when the gold (or an accepted wording) stands in the reply as whole words.

    Strictly, it must stand in the first sentence. Extraction fails on an empty reply only.
    """
    accepted = (question.gold, *question.accepted)
    text = _plain(reply)
    first = _first_sentence(text)
    found = find_phrase(text, accepted)
    found_first = find_phrase(first, accepted)
    said = first or None
    return Score(
        extracted=found if found is not None else said,
        extracted_strict=found_first if found_first is not None else said,
        correct=found is not None,
        correct_strict=found_first is not None,
    )


def find_phrase(text: str, phrases: Iterable[str]) -> str | None:
    """The first of `phrases` that stands in `text` as whole words, whatever its case."""
    for phrase in phrases:
        pattern = rf"(?<!\w){re.escape(_plain(phrase))}(?!\w)"
        if re.search(pattern, text, re.IGNORECASE):
            return phrase
    return None


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip()


def _first_sentence(text: str) -> str:
    end = _SENTENCE_END.search(text)
    return text[: end.start()].strip()[:200] if end else text[:200]

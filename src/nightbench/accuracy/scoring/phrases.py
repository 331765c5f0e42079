"""Free answers with a short gold: right when the reply says it.

As whole words where the script has words: Latin letters, Katakana and numerals have borders, Han
characters and Hiragana have none. A gold that is a number is held against the numbers of the reply,
by value.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from nightbench.accuracy.benchmark import Question, Score
from nightbench.accuracy.scoring.announcing import ends_of
from nightbench.accuracy.scoring.numbers import number_of, numbers_in

_SENTENCE_END = re.compile(r"[.!?。！？](?=\s|$|[\"'”’])|\n")
_SPACES = re.compile(r"\s+")
_THIN_SPACE = re.compile(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))")
_POWER = re.compile("(?<=[0-9])(?=[⁰¹²³⁴-⁹⁻])")
_VULGAR = re.compile("(?<=[0-9])(?=[¼-¾⅐-⅞])")
_IN_NUMBERS = frozenset(".,/:")
_NUMERALS = frozenset("零〇一二两三四五六七八九十百千万亿")
_KATAKANA = re.compile(r"[\u30a1-\u30ff\u31f0-\u31ff]")
_NO_BORDERS = re.compile(
    r"[\u3040-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0eff\uac00-\ud7af"
    r"\U00020000-\U0003ffff]"
)


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
    text = _folded(text)
    for phrase in phrases:
        wanted = _folded(phrase)
        value = number_of(wanted)
        if value is not None:
            if any(value == number for _, number in numbers_in(text)):
                return phrase
        elif _stands(wanted, text):
            return phrase
    return None


def _stands(wanted: str, text: str) -> bool:
    at = text.find(wanted)
    while at >= 0:
        end = at + len(wanted)
        before, after = text[max(0, at - 2) : at], text[end : end + 2]
        if _is_border(before, wanted[:2]) and _is_border(wanted[-2:], after):
            return True
        at = text.find(wanted, at + 1)
    return False


def _is_border(left: str, right: str) -> bool:
    """Whether a word ends between the two, of which up to two characters are known."""
    if not left or not right:
        return True
    one, other = left[-1], right[0]
    if one in _NUMERALS and other in _NUMERALS:
        return False
    if _KATAKANA.match(one) and _KATAKANA.match(other):
        return False
    if one.isdigit() and other in _IN_NUMBERS:
        return not right[1:].isdigit()
    if other.isdigit() and one in _IN_NUMBERS:
        return not left[:-1].isdigit()
    return not (_is_letter(one) and _is_letter(other))


def _is_letter(character: str) -> bool:
    return character.isalnum() and _NO_BORDERS.match(character) is None


def _plain(text: str) -> str:
    text = _THIN_SPACE.sub("", ends_of(text))
    text = _VULGAR.sub(" ", _POWER.sub("^", text))
    return unicodedata.normalize("NFKC", text).replace("\u2044", "/").strip()


def _folded(text: str) -> str:
    return _SPACES.sub(" ", _plain(text)).casefold()


def _first_sentence(text: str) -> str:
    end = _SENTENCE_END.search(text)
    return text[: end.start()].strip()[:200] if end else text[:200]

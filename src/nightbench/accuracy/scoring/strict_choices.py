"""The label that a reply presents as its answer, as a careful person reads it.

An announcement counts ("the answer is", 答案：, `\\boxed`, 选, "B is correct"): of several the last
that is neither denied ("not A") nor supposed ("if it were C"). Without one, the choice that the
reply opens with, unless it goes on to print the others. Two answers at once are none. Linear in the
reply: quantifiers are bounded, or take what nothing after them takes.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from nightbench.accuracy.scoring.announcing import (
    denies,
    ends_of,
    is_denied,
    is_supposed,
    last_of,
    squeezed,
)

_QUOTES = re.compile(r"[*`\"“”„「」『』《》‘]|(?<![A-Za-z])['’]|['’](?![A-Za-z])")
_TITLE = re.compile(
    r"(?i)[\[【〖]\s?(?:(?:正确|最终|参考)?答案|(?:final )?answer)\s?[\]】〗] ?[:：]?"
)
_MARKER = re.compile(
    r"""(?imx)
    (?: \b(?:(?:final|correct|right|best|true|proper|my)\s(?:answer|choice|option)|answer)
        (?: \s?(?:[:=→]|->) | \s[-–—](?=[\s>])
          | (?:\s(?:is|was|would\sbe|should\sbe|must\sbe|has\sto\sbe)\b | 's\b | \sisn't\b
              | \s(?:can(?:not|\snot|'t)|could\snot|won't)\sbe\b) )
      | <answer>
      | ^(?:\#{1,6}\s)?(?:final\s)?answer\s{1,2}(?!is|was|=)
      | \bI\s(?:think|believe|guess)(?:\sthat)?(?:\sit(?:'s|\sis))?
      | \b(?:I|we)(?:'d|'ll|\swould|\swill|\sshould|\smust)?\s
        (?:choose|chose|pick|select|go\swith|vote\sfor|say)\b
      | \bit(?:'s|\sis|\smust\sbe|\shas\sto\sbe|\sshould\sbe)\b
      | \b(?:therefore|thus|hence|so)\b,?
      | \bbut(?:\srather)?\b
      | \\boxed(?=\s?\{)
      | (?:(?:正确|最终|最佳|参考|标准|最?合适|本题)的?(?:答案|选项|选择|回答)|答案)
        \s?(?:应该是|应该为|应当是|应是|应为|就是|不是|是|为|选|[:：=]|(?=\s?[A-Z](?:[^A-Za-z]|$)))
      | 而是
      | (?:选择|选(?!项|择|题|边))(?:了|的是)? \s?[:：]?
    )"""
)
_BEFORE_LABEL = re.compile(
    r"""(?ix)
    (?P<words>(?:[\s:：=>($\\{\[【<_,-]|not\b|never\b|really\b|indeed\b|clearly\b|therefore\b|thus\b
      |definitely\b|likely\b|probably\b|neither\b|不是|不
      |(?:text|textbf|textit|mathbf|mathrm|boxed|option|choice|letter|answer)(?![a-z])|选项
      |the\s(?:first|second|third|fourth|last)\s(?:option|choice|answer)\b
    ){0,24})"""
)
_LABEL = re.compile(
    r"""(?x)
    (?P<label>[A-Za-z]|\d{1,3})(?![A-Za-z0-9]|'[A-Za-z])
    (?P<others>(?:[\s)\]}]{0,3}(?:[,，/、&]\s?(?:and|or|&)?|\band\b|\bor\b|和|或|与)\s?
        [(\[]?[A-Z](?![A-Za-z0-9])(?!\s(?:[a-z]))){0,30})
    """
)
_ARTICLE = re.compile(r"\s(?!(?:because|since|as|and|or)\b)[a-z]")
_PROSE = re.compile(
    r"\s(?!(?:because|since|as|and|or|which|for|due|if|when|with|while|but|not|that|given|is|rather)"
    r"\b)[a-z]"
)
_RIGHT = re.compile(
    r"""(?x)
    (?<![A-Za-z0-9\\]) [(\[]? (?P<label>[A-Z]) [)\]]? \s? (?:选项|项)?
    (?: (?:\s?is|\smust\sbe)\s(?:the\s)?(?:only\s)?
        (?:correct|right|best|answer\b|most\s(?:appropriate|suitable|considerate|likely)\b)
      | \s?是?(?:最)?(?:正确|对的|合适的) )"""
)
_CALLED_WRONG = re.compile(
    r"(?i)[)\]}]?\s?(?:选项|项)?\s?(?:(?:也|都|是|就|则|会)?(?:不对|不行|不正确|不符|不成立|错|矛盾|有误)"
    r"|(?:is|was|would be)\s(?:wrong|incorrect|not|impossible|false))"
)
_CAREFUL = ("therefore", "thus", "hence", "so", "but", "it", "i think", "i believe", "i guess", "#")
_ENDS = re.compile(r"[)\].,;。]|\s?(?:$|\n|because|since)")
_SEVERAL_BEFORE = re.compile(r"(?:\band\b|\bor\b|[,、和或与&])\s?[(\[]?$")
_WEAK = re.compile(r"选项 ?[:：] ?[(\[]?(?P<label>[A-Z])(?![A-Za-z0-9])")
_ALONE = re.compile(
    r"(?i)[\s(\[【$]{0,4}(?:(?:option|choice|选项|选择|选)[\s:]{0,2})?[(\[]?([a-z])[\s)\]】$.。:：]{0,6}"
)
_LISTED = re.compile(
    r"[ (\[]{0,3}(?P<label>[A-Z])(?: ?[).:：、。\]]| - |$|, ?(?=因为|because|since))"
)
_LISTED_LINE = re.compile(
    r"(?m)^[-•] ?[ (\[]{0,3}([A-Z]) ?[).:：、\]]|^[ (\[]{0,3}([A-Z]) ?[).:：、\]]"
)
_MOST_ALONE_CHARS = 200
_TOO_MANY = 3  # answers that differ: an author who has none


@dataclass(frozen=True, slots=True)
class _Announced:
    """A label at its place in the reply; None where several are announced at once."""

    at: int
    label: str | None


def read_label_strictly(reply: str, allowed: tuple[str, ...]) -> str | None:
    """The one label that the reply presents as its answer, in either language, else None.

    Full-width and lower-case labels are read as their plain form.
    """
    text = _plain(reply)
    alone = _ALONE.fullmatch(text) if len(text) < _MOST_ALONE_CHARS else None
    if alone:
        return _allowed(alone.group(1), allowed)
    found = [*_announced(text, allowed), *_called_right(text, allowed)]
    found.sort(key=lambda one: one.at)
    found += _last_line(text, allowed)
    if len({one.label for one in found} - {None}) >= _TOO_MANY:
        return None
    if found:
        return found[-1].label
    opening = _opening(text, allowed)
    weak = [_allowed(match["label"], allowed) for match in last_of(_WEAK.finditer(text))]
    if weak and weak[-1]:
        return weak[-1] if opening in (None, weak[-1]) else None
    return opening


def _plain(reply: str) -> str:
    text = ends_of(unicodedata.normalize("NFKC", ends_of(reply)))
    text = _QUOTES.sub("", text.replace("’", "'"))
    return _TITLE.sub("答案:", squeezed(text))


def _announced(text: str, allowed: tuple[str, ...]) -> list[_Announced]:
    """What is said to be the answer, of what is neither denied nor supposed."""
    found = []
    for marker in last_of(_MARKER.finditer(text)):
        before = _BEFORE_LABEL.match(text, marker.end())
        words = before["words"] if before else ""
        match = _LABEL.match(text, marker.end() + len(words))
        label = _allowed(match["label"], allowed) if match else None
        if match is None or label is None or _is_a_word(text, marker, match):
            continue
        turns = marker.group().lower().startswith(("but", "而是"))
        denied = denies(marker.group()) or denies(words)
        if denied or (is_denied(text, marker.start()) and not turns):
            continue
        if not (_CALLED_WRONG.match(text, match.end()) or is_supposed(text, marker.start())):
            found.append(_Announced(marker.start(), None if match["others"] else label))
    return found


def _is_a_word(text: str, marker: re.Match[str], match: re.Match[str]) -> bool:
    """`a`, `A` and `I` that begin a phrase; after a mere "so" or "but", whatever goes on."""
    label, end = match["label"], match.end("label")
    if label.islower() and _ARTICLE.match(text, end):
        return True
    if label in ("A", "I") and _PROSE.match(text, end):
        return True
    said = marker.group().lower()
    if said.startswith(_CAREFUL):
        return label.islower() or not _ENDS.match(text, end)
    return False


def _called_right(text: str, allowed: tuple[str, ...]) -> list[_Announced]:
    """`B is correct`, 选项B正确."""
    found = []
    for match in last_of(_RIGHT.finditer(text)):
        label = _allowed(match["label"], allowed)
        before = text[max(0, match.start() - 12) : match.start("label")]
        if label is None or _SEVERAL_BEFORE.search(before.rstrip("([ ")):
            continue
        if not (is_supposed(text, match.start()) or is_denied(text, match.start())):
            found.append(_Announced(match.start(), label))
    return found


def _last_line(text: str, allowed: tuple[str, ...]) -> list[_Announced]:
    """A label that is all there is on the reply's last line."""
    at = text.rfind("\n")
    if at < 1:
        return []
    alone = _ALONE.fullmatch(text, at + 1) if len(text) - at < 40 else None
    goes_on = _LISTED_LINE.search(text, 0, at) or _LISTED.match(text)  # a list of the options
    is_apart = text[at - 1] == "\n" and text[-1].isalpha()
    if alone is None or (goes_on and not is_apart):
        return []
    label = _allowed(alone.group(1), allowed)
    return [_Announced(at, label)] if label else []


def _opening(text: str, allowed: tuple[str, ...]) -> str | None:
    """`C) Lena` as the reply's first line, unless the others are printed right after it."""
    first, _, rest = text.partition("\n")
    opening = _LISTED.match(first)
    label = _allowed(opening["label"], allowed) if opening else None
    if opening is None or label is None:
        return None
    if _LISTED.match(first[opening.end() :].lstrip()) or re.match(
        r" ?[A-Z] ?[,、]", first[opening.end() : opening.end() + 6]
    ):
        return None
    following = _LISTED_LINE.match(rest.lstrip("\n"))
    then = (following.group(1) or following.group(2)) if following else label
    is_answer = then == label or then == allowed[0] or then not in allowed  # printed anew, or prose
    return label if is_answer else None


def _allowed(found: str, allowed: tuple[str, ...]) -> str | None:
    return found.upper() if found.upper() in allowed else None

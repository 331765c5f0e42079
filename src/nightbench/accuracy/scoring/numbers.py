"""Numbers as people write them in a text, with their values.

A number is one token: 4 does not stand in 14, 4.5, -4, 4/5, 1,400, 4:30, 10^4 or 1.4.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

_NUMBER = re.compile(
    r"""(?x)
    (?P<sign>[-+−]|负|負|minus\s|negative\s)?
    (?P<whole>\d{1,3}(?:,\d{3}){1,12}(?!,?\d)|\d{1,400})
    (?P<decimals>\.\d{1,400})?
    (?P<exponent>e[-+]?\d{1,3}(?![a-z\d]))?
    (?:/(?P<below>\d{1,40})|\s(?P<part>\d{1,9})/(?P<of>\d{1,9}))?
    """
)
_JOINED_BEFORE = re.compile(r"[a-z_\d.^]$|\d[:/]$|\d\s?/\s?$")
_JOINED_AFTER = re.compile(r"\d|[.:/]\d|\s?/\s?\d|\^|[a-z_]")


def number_of(text: str) -> Fraction | None:
    """The value of a text that is one number and nothing else, None where it is not."""
    match = _NUMBER.fullmatch(text.strip())
    return _value(match) if match else None


def numbers_in(text: str) -> Iterator[tuple[int, Fraction]]:
    """Every number of a text (in lower case), and where it begins."""
    at = 0
    while match := _NUMBER.search(text, at):
        at = match.end()
        value = _value(match)
        if value is not None and not _is_part(text, match):
            yield match.start(), -value if _is_hyphen(text, match) else value


def _value(match: re.Match[str]) -> Fraction | None:
    whole = match["whole"].replace(",", "")
    if len(whole) > 1 and whole.startswith("0"):
        return None  # 007 and the 05 of a date are names
    value = Fraction(whole + (match["decimals"] or ""))
    if match["exponent"]:
        value *= Fraction(10) ** int(match["exponent"][1:])
    if (match["below"] or match["of"] or "1").strip("0") == "":
        return None
    if match["below"]:
        value /= int(match["below"])
    if match["of"]:
        value += Fraction(int(match["part"]), int(match["of"]))
    return -value if match["sign"] and match["sign"] != "+" else value


def _is_hyphen(text: str, match: re.Match[str]) -> bool:
    """A dash after a letter or digit joins (2-4, B-4): it is no sign."""
    start = match.start()
    return match["sign"] in ("-", "−") and start > 0 and (text[start - 1].isalnum())


def _is_part(text: str, match: re.Match[str]) -> bool:
    """Whether it goes on to either side: in a word, a longer number, a date, a power."""
    before = text[max(0, match.start() - 4) : match.start()]
    if not match["sign"] and _JOINED_BEFORE.search(before):
        return True
    return _JOINED_AFTER.match(text, match.end()) is not None

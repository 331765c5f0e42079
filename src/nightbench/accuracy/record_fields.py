"""Fields of people's own records, in the shapes that people and tools write them.

Each function returns what is meant, or raises ValueError that says what was found instead: a record
that may mean two things is refused, since a wrong guess is a wrong score.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping, Sequence

from nightbench.accuracy.templates import label, labels

_GOLD = re.compile(r"[(\[（【]?\s*([A-Za-z]|\d{1,3})\s*[)\]）】.。:：、]?(?:\s+(\S.*))?", re.DOTALL)


def first_field(record: Mapping[str, object], *names: str) -> object:
    """The first of `names` that the record has a value for, in any case. Raises KeyError."""
    fields = {str(key).lower(): value for key, value in record.items()}
    for name in names:
        if not is_missing(fields.get(name)):
            return fields[name]
    raise KeyError(names[0])


def is_missing(value: object) -> bool:
    """No value: none, blank, or NaN (as Parquet and pandas leave it). 0 and False are values."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return True
    return isinstance(value, float) and math.isnan(value)


def as_text(value: object) -> str:
    """A value as a person writes it: a number of a column with gaps (3.0) is 3."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def wordings(value: object) -> tuple[str, ...]:
    """An answer, or several that all count, as a list or its JSON."""
    value = _unquoted(value)
    several = value if isinstance(value, list | tuple) else [value]
    if not several or any(is_missing(one) or isinstance(one, list | dict) for one in several):
        raise ValueError(f"expected an answer or a list of them, found {_shown(value)}")
    return tuple(as_text(one) for one in several)


def listed_choices_of(value: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Choices and what they are called: of a list, a mapping, the hubs' {text, label}, or JSON."""
    value = _unquoted(value)
    names: Sequence[object] = ()
    if isinstance(value, Mapping) and isinstance(value.get("text"), list | tuple):
        texts, names = value["text"], value.get("label") or value.get("labels") or ()
    elif isinstance(value, Mapping):
        texts, names = _by_name(value)
    elif isinstance(value, list | tuple):
        texts = [one.get("text") if isinstance(one, Mapping) else one for one in value]
        if value and all(isinstance(one, Mapping) and one.get("label") for one in value):
            names = [one["label"] for one in value]
    else:
        raise ValueError(f"expected choices as a list or by label, found {_shown(value)}")
    texts = _ended(texts)
    if len(texts) < 2 or any(is_missing(one) or isinstance(one, list | dict) for one in texts):
        raise ValueError(f"expected at least two choices, none empty, found {_shown(value)}")
    return tuple(map(str, texts)), tuple(as_text(name) for name in names)


def _by_name(value: Mapping[object, object]) -> tuple[list[object], list[object]]:
    """Texts and labels, in the labels' order where they are letters."""
    there = {str(key).strip(): text for key, text in value.items() if not is_missing(text)}
    if all(len(key) == 1 and key.isalpha() for key in there):
        there = dict(sorted((key.upper(), text) for key, text in there.items()))
        _refuse_gaps(list(there))
    return list(there.values()), list(there)


def columns_of(record: Mapping[str, object]) -> tuple[str, ...]:
    """Choices that are columns A, B, … in either case; a column left empty ends them."""
    fields = {str(key).strip().upper(): value for key, value in record.items()}
    found = [name for name in labels(26) if not is_missing(fields.get(name))]
    if len(found) < 2:
        raise ValueError("expected at least the choices A and B")
    _refuse_gaps(found)
    return tuple(str(fields[name]) for name in found)


def label_of(
    gold: object, choices: Sequence[str], names: Sequence[str] = (), *, certain: bool = False
) -> str:
    """The label of the right choice, from its label, its text, or its position (from 0).

    `names` are the labels the record itself has for its choices. `certain`: a letter that labels
    one choice and is the text of another is refused, instead of taken as a label.
    """
    if isinstance(gold, list | tuple) and len(gold) == 1:
        (gold,) = gold
    if is_missing(gold) or isinstance(gold, list | tuple | dict):
        raise ValueError(f"expected one correct choice, found {_shown(gold)}")
    meant = _by_label(gold, choices, names)
    same = [index for index, choice in enumerate(choices) if _is_said(gold, choice)]
    if meant is not None and certain and same and meant not in same:
        raise ValueError(f"the answer {_shown(gold)} is one choice's label and another's text")
    return label(_by_text_or_position(gold, choices, same) if meant is None else meant)


def _by_label(gold: object, choices: Sequence[str], names: Sequence[str]) -> int | None:
    """`B`, `b`, `(B)`, `B.`, or `B. the choice's text`."""
    if not isinstance(gold, str):
        return None
    own = [name.strip().upper() for name in names]
    if gold.strip().upper() in own:
        return own.index(gold.strip().upper())
    match = _GOLD.fullmatch(gold.strip())
    if match is None or (match[1].isdigit() and (match[2] or len(choices) <= 26)):
        return None  # a text, or a position
    there = labels(len(choices))
    if match[1].upper() not in there:
        return None
    index = there.index(match[1].upper())
    return index if match[2] is None or _is_said(match[2], choices[index]) else None


def _by_text_or_position(gold: object, choices: Sequence[str], same: Sequence[int]) -> int:
    if len(same) == 1 and isinstance(gold, str):
        return same[0]
    digits = as_text(gold).strip()
    meant = set(same)
    if re.fullmatch(r"\d{1,3}", digits) and int(digits) < len(choices):
        meant.add(int(digits))
    if len(meant) == 1:
        return meant.pop()
    if len(meant) > 1:
        raise ValueError(f"the answer {_shown(gold)} matches {len(meant)} choices")
    last = len(choices) - 1
    raise ValueError(
        f"the answer {_shown(gold)} is none of the choices (expected A to {label(last)}, a "
        f"choice's text, or its position from 0 to {last})"
    )


def _is_said(gold: object, choice: str) -> bool:
    said = {str(gold).strip().casefold(), as_text(gold).strip().casefold()}
    return choice.strip().casefold() in said


def _ended(texts: Sequence[object]) -> Sequence[object]:
    """Without what is empty at the end, as columns of one width leave it."""
    end = len(texts)
    while end and is_missing(texts[end - 1]):
        end -= 1
    return texts[:end]


def _refuse_gaps(found: Sequence[str]) -> None:
    """Choices are labelled as they are counted, so the record's own labels must have no gap."""
    for expected, name in zip(labels(len(found)), found, strict=True):
        if name != expected:
            raise ValueError(f"choice {expected} is empty, and {name} is not")


def _unquoted(value: object) -> object:
    """A list or mapping that a CSV column holds as JSON, or as Python prints it."""
    if not isinstance(value, str) or value.strip()[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(value.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"

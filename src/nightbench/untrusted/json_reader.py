"""JSON of others, read so that it can neither crash the reader nor fill its memory.

A byte of JSON may become a hundred bytes of objects (`[{},{},…`), so how many values there are is
limited too.
"""

from __future__ import annotations

import json
from typing import Any

from nightbench.untrusted.limits import TooLarge

MOST_VALUES = 2_000_000
_FEW_BYTES = 1_000_000  # hold no more values than may be


def loads(text: str | bytes) -> Any:
    """The value of `text`. Raises ValueError for no JSON, a number of more digits than Python
    reads, or nesting beyond its stack; TooLarge for more than `MOST_VALUES` values."""
    if len(text) > _FEW_BYTES and _most_values(text) > MOST_VALUES:
        raise TooLarge(f"more than {MOST_VALUES:,} values of JSON")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


def _most_values(text: str | bytes) -> int:
    """Each value opens a list or an object, follows a comma or stands first in one. Texts may hold
    such characters too."""
    if isinstance(text, str):
        return text.count(",") + text.count("[") + text.count("{")
    return text.count(b",") + text.count(b"[") + text.count(b"{")

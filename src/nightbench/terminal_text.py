"""Text that others wrote, made safe to print: what a model says must not drive a terminal."""

from __future__ import annotations

import json
import re

# C0 without tab and newline, DEL, C1, and the marks that reorder or hide text around them or, as
# the tags do, are text that nobody sees.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_SURROGATES = re.compile("[\ud800-\udfff]")


def safe_text(text: str, *, max_chars: int | None = None) -> str:
    """`text` with control characters shown as the replacement mark, cut at `max_chars`."""
    if max_chars is not None and len(text) > max_chars:
        text = text[: max_chars - 1] + "…"
    text = text.replace("\r\n", "\n")
    return storable_text(_UNSAFE.sub("\ufffd", text))


def safe_line(text: str, *, max_chars: int | None = None) -> str:
    """The same on one line: runs of white space become one space."""
    head = text if max_chars is None else text[: 8 * max_chars]
    return safe_text(" ".join(head.split()), max_chars=max_chars)


def visible(text: str) -> str:
    """`text` without what `safe_text` shows as a mark."""
    return _UNSAFE.sub("", text)


def escaped_controls(text: str) -> str:
    """JSON with the control characters that its strings may hold as they are (C1, those that
    reorder text) escaped: it says the same, and drives no terminal."""
    # Between its strings JSON has no control characters but line ends, which are not among them.
    return _UNSAFE.sub(lambda found: json.dumps(found[0])[1:-1], text)


def storable_text(text: str) -> str:
    """`text` as UTF-8 can hold it: half a surrogate pair (valid in JSON) becomes the mark."""
    return _SURROGATES.sub("\ufffd", text)

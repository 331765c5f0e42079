"""Markdown for pages that render HTML: what models, servers and suites wrote stays text in it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from nightbench.terminal_text import safe_line, safe_text

# What begins a link, an image, code, emphasis or a table cell; `:` and `.` so that nothing becomes
# a link by itself.
_MARKS = re.compile(r"([\\`*_{}\[\]()#+!|~])")
_AUTOLINK = re.compile(r"(?i)\b(https?|ftp|mailto)(:)|\b(www)(\.)")
_BACKTICKS = re.compile(r"`+")


def escaped(text: str, *, max_chars: int | None = None) -> str:
    """`text` on one line, as it reads, whatever marks or tags are in it."""
    line = _MARKS.sub(r"\\\1", html.escape(safe_line(text, max_chars=max_chars), quote=False))
    return _AUTOLINK.sub(_unlinked, line)


def code(text: str) -> str:
    """`text` on one line in a fixed width."""
    line = safe_line(text).replace("|", "\u2223")  # a bar ends a table's cell, even in code
    fence = "`" * (_longest_run(line) + 1)
    return f"{fence}{' ' if '`' in line else ''}{line}{' ' if '`' in line else ''}{fence}"


def fenced(text: str) -> str:
    """`text` as a block of code that nothing in it can end."""
    block = safe_text(text)
    fence = "`" * max(3, _longest_run(block) + 1)
    return f"{fence}text\n{block}\n{fence}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def link(text: str, url: str) -> str:
    """A link to an address of ours."""
    return f"[{escaped(text)}](<{url.replace('<', '%3C').replace('>', '%3E')}>)"


def _unlinked(match: re.Match[str]) -> str:
    """Half of what looks like an address, as an entity: shown, and not followed."""
    word, mark = (match[1], match[2]) if match[1] else (match[3], match[4])
    return f"{word}&#{ord(mark)};"


def _longest_run(text: str) -> int:
    return max((len(run) for run in _BACKTICKS.findall(text)), default=0)

"""Fenced blocks of a reply, as Markdown has them, and the one that is the program that was asked.

Read line by line: linear in the reply.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r" {0,3}(?P<fence>`{3,100}|~{3,100})(?P<info>[^`\r\n]{0,200})\r?\n?")
_NO_PROGRAM = frozenset({"bash", "sh", "shell", "console", "text", "txt", "output", "json", "diff"})


@dataclass(frozen=True, slots=True)
class Block:
    """The lines between two fences, and what the first fence says of them."""

    language: str
    code: str


def blocks_of(reply: str) -> Iterator[Block]:
    """Every fenced block, an unfinished one at the end included."""
    fence, language, lines = "", "", list[str]()
    for line in reply.splitlines(keepends=True):
        match = _FENCE.fullmatch(line)
        if not fence:
            if match:
                fence = match["fence"]
                language, lines = match["info"].strip().partition(" ")[0].lower(), []
        elif match and match["fence"].startswith(fence) and not match["info"].strip():
            yield Block(language, "".join(lines))
            fence = ""
        else:
            lines.append(line)
    if fence:
        yield Block(language, "".join(lines))


def program_of(reply: str, entry_point: str) -> str:
    """The last block that defines `entry_point`; else the last that is a function's body, or any
    program at all; else the whole reply.

    Models show their program and then how it is called, what it prints, or what it replaces.
    """
    programs = [b.code for b in blocks_of(reply) if b.language not in _NO_PROGRAM]
    if not programs:
        return reply
    defines = re.compile(
        rf"(?m)^(?:async )?(?:def {re.escape(entry_point)}\b|{re.escape(entry_point)} ?=)"
    )
    defining = [code for code in programs if defines.search(code)]
    bodies = [code for code in programs if code.lstrip("\r\n")[:1] in (" ", "\t")]
    return (defining or bodies or programs)[-1]

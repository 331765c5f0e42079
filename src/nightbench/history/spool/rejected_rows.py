"""What sealing could not take is kept beside what it could, and counted."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from nightbench.history.regular_files import create_anew, is_regular
from nightbench.history.spool.identity import MOST_TEXT_CHARS
from nightbench.history.spool.manifest import REJECTED_NAME, Rejected
from nightbench.terminal_text import safe_line


@dataclass(slots=True)
class _Tally:
    row_count: int = 0
    value_count: int = 0
    problem: str = ""


@dataclass(slots=True)
class Rejections:
    """Writes rejected rows aside while a folder is sealed. Use as a context manager."""

    folder: Path
    torn_lines: int = 0
    unreadable: list[str] = field(default_factory=list)
    _tallies: dict[str, _Tally] = field(default_factory=dict)
    _file: BinaryIO | None = None

    def __enter__(self) -> Rejections:
        stale = self.folder / REJECTED_NAME
        if is_regular(stale):  # of a sealing that was killed: it is done again
            stale.unlink()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def row(self, table: str, row: bytes | dict[str, object], problem: str) -> None:
        """A row that is not sealed, as its line or its members."""
        self._tally(table, problem).row_count += 1
        self._write(table, row, problem)

    def rows(self, table: str, row_count: int, problem: str) -> None:
        """Rows that are not sealed and stay in the working file they are in."""
        self._tally(table, problem).row_count += row_count

    def values(self, table: str, line: bytes, problems: list[str]) -> None:
        """Numbers of a row that is sealed without them."""
        self._tally(table, problems[0]).value_count += len(problems)
        self._write(table, line, "; ".join(problems))

    def part(self, name: str) -> None:
        """A working file that could not be read, whole or in part: it stays."""
        if name not in self.unreadable:
            self.unreadable.append(name)

    @property
    def all(self) -> tuple[Rejected, ...]:
        """What was rejected, a table after another."""
        return tuple(
            Rejected(
                table=table,
                row_count=tally.row_count,
                value_count=tally.value_count,
                problem=tally.problem,
            )
            for table, tally in self._tallies.items()
        )

    def _tally(self, table: str, problem: str) -> _Tally:
        tally = self._tallies.setdefault(table, _Tally())
        tally.problem = tally.problem or safe_line(problem, max_chars=MOST_TEXT_CHARS)
        return tally

    def _write(self, table: str, row: bytes | dict[str, object], problem: str) -> None:
        if self._file is None:
            self._file = create_anew(self.folder / REJECTED_NAME)
        told = row.decode(errors="backslashreplace").rstrip("\n") if isinstance(row, bytes) else row
        line = json.dumps({"table": table, "problem": problem, "row": told}, default=str)
        self._file.write(line.encode() + b"\n")

"""The rows of a level as NumPy arrays, whose columns are the fields of `records.LoadRequest`.

A number of a row is a float64 there, whatever it is in the record: NaN is its None.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nightbench.metrics import request_metrics
from nightbench.records import LoadRequest, kinds_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int32]
    Rows = NDArray[np.void]

_KINDS = {name: kind for name, (kind, _) in kinds_of(LoadRequest).items()}
COLUMNS = tuple(_KINDS)
NUMBERS = tuple(name for name, kind in _KINDS.items() if kind in (int, float))
TEXTS = tuple(name for name, kind in _KINDS.items() if kind is str)
CHUNKS = tuple(name for name, kind in _KINDS.items() if kind == list[int])
# What is held of every request of a level until it is summed up; of a million, 120 MB.
_HELD = (
    "scheduled_us",
    "sent_us",
    "last_chunk_us",
    *(one.name for one in request_metrics()),
    "said_tokens",
)


def _row_dtype(names: Sequence[str]) -> np.dtype[np.void]:
    return np.dtype([(name, np.float64) for name in names])


@dataclass(frozen=True, slots=True)
class RequestRows:
    """Some rows of `records.LoadRequest`, n of them with m chunks of output among them.

    `numbers`: shape (n,), a float64 field a name of NUMBERS, in the unit that its name says; NaN
    where a row has none. Fields that metrics need and no row keeps may follow.
    `texts`: by the names of TEXTS, n each; None where a row has none.
    `chunk_deltas_us`: shape (m,), int32, microseconds, one row's chunks after another's.
    `chunk_tokens`: shape (m,), int32, tokens.
    `chunk_ends`: shape (n,), int64; row i's chunks end before place `chunk_ends[i]` of them.
    """

    numbers: Rows
    texts: dict[str, list[str | None]]
    chunk_deltas_us: Integers
    chunk_tokens: Integers
    chunk_ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.chunk_ends)


@dataclass(frozen=True, slots=True)
class RequestColumns:
    """All rows of a level, n of them with m chunks among them, as far as metrics need them.

    `numbers`: shape (n,), a float64 field for each time and metric of a request; NaN where it has
    none.
    `completed`: shape (n,), bool.
    `deltas_us`, `tokens`: shape (m,), int32, microseconds and tokens of all chunks, request after
    request.
    `ends`: shape (n,), int64; the chunks of request i end before place `ends[i]`.
    """

    numbers: Rows
    completed: NDArray[np.bool_]
    deltas_us: Integers
    tokens: Integers
    ends: NDArray[np.int64]

    def __getitem__(self, name: str) -> Floats:
        """A column: shape (n,), float64, in the unit that its name says."""
        column: Floats = self.numbers[name]
        return column

    @property
    def count(self) -> int:
        """How many requests there are."""
        return len(self.completed)


def numbers_of(count: int, columns: Mapping[str, Floats]) -> Rows:
    """Columns as rows, shape (count,): all of NUMBERS, and what metrics need beside them.

    Raises KeyError where one of NUMBERS lacks.
    """
    return _rows_of(count, tuple(dict.fromkeys((*NUMBERS, *columns))), columns)


def _rows_of(count: int, names: Sequence[str], columns: Mapping[str, Floats] | Rows) -> Rows:
    rows = np.empty(count, dtype=_row_dtype(names))
    for name in names:
        rows[name] = columns[name]
    return rows


class ColumnsBuilder:
    """Takes in rows and keeps their numbers: 130 bytes a request and 8 a chunk."""

    def __init__(self) -> None:
        # Arrays grow in place: joining parts would hold everything twice.
        self._numbers, self._completed = bytearray(), bytearray()
        self._deltas_us, self._tokens, self._ends = array("i"), array("i"), array("q")

    def add(self, rows: RequestRows) -> None:
        """Take in a group of rows."""
        self._numbers += _rows_of(len(rows), _HELD, rows.numbers).tobytes()
        self._completed += bytes(kind is None for kind in rows.texts["error_kind"])
        self._ends.frombytes((len(self._deltas_us) + rows.chunk_ends).tobytes())
        self._deltas_us.frombytes(rows.chunk_deltas_us.tobytes())
        self._tokens.frombytes(rows.chunk_tokens.tobytes())

    def columns(self) -> RequestColumns:
        """The rows so far. Nothing is copied: add no more."""
        return RequestColumns(
            numbers=np.frombuffer(self._numbers, dtype=_row_dtype(_HELD)),
            completed=np.frombuffer(self._completed, dtype=np.bool_),
            deltas_us=np.frombuffer(self._deltas_us, dtype=np.int32),
            tokens=np.frombuffer(self._tokens, dtype=np.int32),
            ends=np.frombuffer(self._ends, dtype=np.int64),
        )

"""The rows of a level by column: a group of them, and what metrics need of all."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int32]

NUMBERS = (
    "request_index",
    "scheduled_us",
    "sent_us",
    "first_chunk_us",
    "last_chunk_us",
    "ttft_ms",
    "ttfat_ms",
    "tpot_ms",
    "e2el_ms",
    "queue_ms",
    "connect_ms",
    "ttft_bound_ms",
    "coalesced_reads",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "said_tokens",
)


@dataclass(frozen=True, slots=True)
class RequestRows:
    """Some rows of `records.LoadRequest`, a value a row: NaN or None where a row has none.

    Chunks follow each other, one row's after another's; `chunk_ends[i]` is where row i's end.
    """

    numbers: dict[str, Floats]
    texts: dict[str, list[str | None]]
    chunk_deltas_us: Integers
    chunk_tokens: Integers
    chunk_ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.chunk_ends)


@dataclass(frozen=True, slots=True)
class RequestColumns:
    """The rows of a level as arrays; what is None in a row is NaN here.

    `deltas_us` and `tokens` hold all chunks, request after request; `ends[i]` is where those of
    request i end.
    """

    numbers: dict[str, Floats]
    completed: NDArray[np.bool_]
    deltas_us: Integers
    tokens: Integers
    ends: NDArray[np.int64]

    def __getitem__(self, name: str) -> Floats:
        return self.numbers[name]

    @property
    def count(self) -> int:
        """How many requests there are."""
        return len(self.completed)


class ColumnsBuilder:
    """Takes in rows and keeps their numbers: 200 bytes a request and 8 a chunk."""

    def __init__(self) -> None:
        # Arrays grow in place: joining parts would hold everything twice.
        self._numbers = {name: array("d") for name in NUMBERS}
        self._completed = bytearray()
        self._deltas_us, self._tokens, self._ends = array("i"), array("i"), array("q")

    def add(self, rows: RequestRows) -> None:
        """Take in a group of rows."""
        for name, values in self._numbers.items():
            values.frombytes(rows.numbers[name].tobytes())
        self._completed += bytes(kind is None for kind in rows.texts["error_kind"])
        self._ends.frombytes((len(self._deltas_us) + rows.chunk_ends).tobytes())
        self._deltas_us.frombytes(rows.chunk_deltas_us.tobytes())
        self._tokens.frombytes(rows.chunk_tokens.tobytes())

    def columns(self) -> RequestColumns:
        """The rows so far. Nothing is copied: add no more."""
        return RequestColumns(
            numbers={name: np.frombuffer(values) for name, values in self._numbers.items()},
            completed=np.frombuffer(self._completed, dtype=np.bool_),
            deltas_us=np.frombuffer(self._deltas_us, dtype=np.int32),
            tokens=np.frombuffer(self._tokens, dtype=np.int32),
            ends=np.frombuffer(self._ends, dtype=np.int64),
        )

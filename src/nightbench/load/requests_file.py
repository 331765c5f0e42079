"""LoadRequest rows as a Parquet file, and its columns back as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from nightbench.records import LoadRequest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int32]

COLUMNS = tuple(LoadRequest.__dataclass_fields__)
_ROWS_A_GROUP = 20_000
_TEXT = {
    "workload",
    "level",
    "prompt_hash",
    "token_source",
    "finish_reason",
    "error_kind",
    "error",
}


def schema() -> Any:
    """The Arrow schema: the fields of LoadRequest in order."""
    import pyarrow as pa

    def type_of(name: str) -> Any:
        if name in _TEXT:
            return pa.string()
        if name in ("chunk_deltas_us", "chunk_tokens"):
            return pa.list_(pa.int32())
        if name.endswith("_us"):
            return pa.int64()
        return pa.float64() if name.endswith("_ms") else pa.int32()

    return pa.schema([(name, type_of(name)) for name in COLUMNS])


class RequestWriter:
    """Writes rows in groups, so that a million of them never lie in memory."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self._schema = schema()
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[LoadRequest] = []

    def __enter__(self) -> RequestWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._flush()
        self._writer.close()

    def add(self, row: LoadRequest) -> None:
        """Take one row."""
        self._rows.append(row)
        if len(self._rows) >= _ROWS_A_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if not self._rows:
            return
        columns = [
            pa.array([getattr(row, name) for row in self._rows], type=self._schema.field(name).type)
            for name in COLUMNS
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self._rows = []


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
    "ttft_bound_ms",
    "coalesced_reads",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
)


def read_columns(path: Path) -> RequestColumns:
    """The columns that metrics need, from a file of LoadRequest rows, a group of rows at a time."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    count = file.metadata.num_rows
    numbers: dict[str, Floats] = {name: np.empty(count) for name in NUMBERS}
    completed, sizes = np.empty(count, dtype=bool), np.empty(count, dtype=np.int64)
    deltas: list[Integers] = [np.zeros(0, np.int32)]
    tokens: list[Integers] = [np.zeros(0, np.int32)]
    at = 0
    columns = [*NUMBERS, "error_kind", "chunk_deltas_us", "chunk_tokens"]
    for batch in file.iter_batches(_ROWS_A_GROUP, columns=columns):
        rows = slice(at, at + batch.num_rows)
        for name in NUMBERS:
            numbers[name][rows] = batch[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
        completed[rows] = batch["error_kind"].is_null().to_numpy(zero_copy_only=False)
        sizes[rows] = pc.list_value_length(batch["chunk_deltas_us"]).to_numpy()
        deltas.append(pc.list_flatten(batch["chunk_deltas_us"]).to_numpy().astype(np.int32))
        tokens.append(pc.list_flatten(batch["chunk_tokens"]).to_numpy().astype(np.int32))
        at += batch.num_rows
    return RequestColumns(
        numbers=numbers,
        completed=completed,
        deltas_us=_joined(deltas),
        tokens=_joined(tokens),
        ends=np.cumsum(sizes),
    )


def _joined(parts: list[Integers]) -> Integers:
    """The parts as one, and the parts let go of."""
    import numpy as np

    joined = np.concatenate(parts)
    parts.clear()
    return joined

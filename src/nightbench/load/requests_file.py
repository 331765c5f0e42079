"""LoadRequest rows as a Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from nightbench.records import LoadRequest

COLUMNS = tuple(LoadRequest.__dataclass_fields__)
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
    """Writes groups of rows, so that a million of them never lie in memory."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self._schema = schema()
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")

    def __enter__(self) -> RequestWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()

    def write(self, rows: Sequence[LoadRequest]) -> None:
        """Write rows as one group: thousands of them, or the file is large and slow to read."""
        import pyarrow as pa

        columns = [
            pa.array([getattr(row, name) for row in rows], type=self._schema.field(name).type)
            for name in COLUMNS
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))

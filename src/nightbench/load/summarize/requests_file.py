"""LoadRequest rows as a Parquet file."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from nightbench.load.summarize.level_arrays import CHUNKS, COLUMNS, TEXTS, RequestRows


def schema() -> Any:
    """The Arrow schema: the fields of LoadRequest in order."""
    import pyarrow as pa

    def type_of(name: str) -> Any:
        if name in TEXTS:
            return pa.string()
        if name in CHUNKS:
            return pa.list_(pa.int32())
        if name == "resent":
            return pa.bool_()
        if name.endswith("_us"):
            return pa.int64()
        return pa.float64() if name.endswith("_ms") else pa.int32()

    return pa.schema([(name, type_of(name)) for name in COLUMNS])


class RequestWriter:
    """Writes groups of rows, so that a million of them never lie in memory."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self._schema = schema()
        # Until it is sealed nothing else can tell whether a byte of it has changed.
        self._writer = pq.ParquetWriter(
            path, self._schema, compression="zstd", write_page_checksum=True
        )

    def __enter__(self) -> RequestWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()

    def write(self, rows: RequestRows) -> None:
        """Write rows as one group: thousands of them, or the file is large and slow to read."""
        import pyarrow as pa

        columns = [_column(rows, field) for field in self._schema]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))


def _column(rows: RequestRows, field: Any) -> Any:
    import pyarrow as pa

    if field.name in CHUNKS:
        ends = np.concatenate(([0], rows.chunk_ends)).astype(np.int32)
        return pa.ListArray.from_arrays(ends, pa.array(getattr(rows, field.name)))
    if field.name in TEXTS:
        return pa.array(rows.texts[field.name], type=field.type)
    values = rows.numbers[field.name]
    absent = np.isnan(values)
    kept = np.where(absent, 0, values).astype(field.type.to_pandas_dtype())
    return pa.array(kept, type=field.type, mask=absent)

"""Which table a row belongs to, and what its columns are in JSON lines and in Parquet.

The columns of a table are the identity columns (from the spool folder's manifest) followed by the
fields of its row type in `nightbench.records`. Nothing here needs pyarrow to spool a row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from nightbench.records import (
    AccuracyResult,
    AccuracySample,
    AnnotationRow,
    FurtherValue,
    LoadInterval,
    LoadLevel,
    LoadRequest,
    ProvenanceRow,
    RunRow,
    ServerRow,
    TargetRow,
    TelemetryRow,
    VerdictRow,
    kinds_of,
)

if TYPE_CHECKING:
    import pyarrow as pa

Row = (
    RunRow
    | TargetRow
    | ServerRow
    | ProvenanceRow
    | AccuracyResult
    | AccuracySample
    | LoadLevel
    | LoadInterval
    | LoadRequest
    | TelemetryRow
    | FurtherValue
    | VerdictRow
    | AnnotationRow
)

RUN_FOLDER = "_run"  # the folder of the run itself, beside those of its targets
_OF_A_RUN = (RunRow, VerdictRow, AnnotationRow)  # their rows say the target where there is one
CHUNK_COLUMNS = tuple(
    name for name, (kind, _) in kinds_of(LoadRequest).items() if kind == list[int]
)


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the history.

    `bulky`: its rows stay in Parquet. `latest_by`: of rows that agree in these fields the last one
    spooled counts (a row is written when something starts and again when it ends).
    """

    name: str
    row_type: type[Row]
    bulky: bool = False
    latest_by: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns landing adds, which no row carries."""
        if self.row_type in _OF_A_RUN:
            return ("run_id", "night")
        return ("run_id", "target", "night", "hardware_class")

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns that come from the row, in order."""
        names = tuple(field.name for field in dataclasses.fields(self.row_type))
        kept = names if self.only is None else tuple(n for n in names if n in self.only)
        return tuple(name for name in kept if name not in self.without)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, in order."""
        return self.identity + self.fields


TABLES: tuple[Table, ...] = (
    Table("runs", RunRow, latest_by=()),
    Table("targets", TargetRow, latest_by=()),
    Table("servers", ServerRow, latest_by=("launch",)),
    Table("provenance", ProvenanceRow, latest_by=("name",)),
    Table("accuracy_results", AccuracyResult),
    Table("accuracy_samples", AccuracySample, bulky=True),
    Table("load_levels", LoadLevel),
    Table("load_intervals", LoadInterval),
    Table("load_requests", LoadRequest, bulky=True, without=CHUNK_COLUMNS),
    Table(
        "load_chunks",
        LoadRequest,
        bulky=True,
        only=("workload", "level", "request_index", *CHUNK_COLUMNS),
    ),
    Table("telemetry", TelemetryRow, bulky=True),
    Table("further_values", FurtherValue),
    Table("verdicts", VerdictRow),
    Table("annotations", AnnotationRow),
)
BY_NAME = {table.name: table for table in TABLES}
_SPOOLED = {table.row_type: table for table in TABLES if table.name != "load_chunks"}


def table_of(row: Row) -> Table:
    """The table a row is spooled for. Chunk times part from their request when sealed."""
    return _SPOOLED[type(row)]


def spooled_fields(table: Table) -> tuple[str, ...]:
    """The fields a spool folder holds for this table until it is sealed."""
    return tuple(field.name for field in dataclasses.fields(table.row_type))


def encode(row: Row, redact: Callable[[str], str] = str) -> dict[str, object]:
    """A row as JSON members; times and dates as ISO 8601, texts without secrets."""
    return {
        field.name: _plain(getattr(row, field.name), redact)
        for field in dataclasses.fields(type(row))
    }


def _plain(value: object, redact: Callable[[str], str]) -> object:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [redact(one) if isinstance(one, str) else one for one in value]
    return value.isoformat() if isinstance(value, date) else value  # a datetime is a date


def decode(table: Table, members: dict[str, object]) -> dict[str, object]:
    """What `encode` wrote, with its times as naive UTC datetimes; missing fields are None."""
    kinds = kinds_of(table.row_type)
    return {name: _typed(members.get(name), kinds[name][0]) for name in spooled_fields(table)}


def _typed(value: object, kind: object) -> object:
    if kind is datetime and isinstance(value, str):
        return naive_utc(datetime.fromisoformat(value))
    if kind is date and isinstance(value, str):
        return date.fromisoformat(value)
    return value


def naive_utc(moment: datetime) -> datetime:
    """The history keeps UTC without a zone: no time-zone database is needed to read it."""
    from datetime import UTC

    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def field_schema(table: Table, names: tuple[str, ...]) -> pa.Schema:
    """The Parquet columns of these fields."""
    import pyarrow as pa

    arrow = {
        str: pa.string(),
        int: pa.int64(),
        float: pa.float64(),
        bool: pa.bool_(),
        datetime: pa.timestamp("us"),
        date: pa.date32(),
        list[str]: pa.list_(pa.string()),
        list[int]: pa.list_(pa.int32()),
        list[float]: pa.list_(pa.float64()),
    }
    kinds = kinds_of(table.row_type)
    return pa.schema([pa.field(n, arrow[kinds[n][0]], nullable=kinds[n][1]) for n in names])


def sealed_schema(table: Table) -> pa.Schema:
    """The Parquet columns of a sealed folder's file: identity first."""
    import pyarrow as pa

    types_of = {"night": pa.date32()}
    identity = [
        pa.field(name, types_of.get(name, pa.string()), nullable=name == "hardware_class")
        for name in table.identity
    ]
    return pa.schema(identity + list(field_schema(table, table.fields)))


def fit(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows as a schema wants them: its columns, cast; a column they lack is null."""
    import pyarrow as pa

    there = set(rows.schema.names)
    columns = [
        cast(rows[name], schema.field(name).type)
        if name in there
        else pa.nulls(rows.num_rows, schema.field(name).type)
        for name in schema.names
    ]
    return pa.table(columns, schema=schema)


def cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """A column as another kind; times with a zone become naive UTC, as everywhere in the history.

    Raises:
        pyarrow.ArrowException: a value cannot become one of that kind.
    """
    import pyarrow as pa

    zoned = pa.types.is_timestamp(column.type) and column.type.tz is not None
    naive = column.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us")) if zoned else column
    return naive.cast(kind)

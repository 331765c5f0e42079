"""Rows and records of a level as a test reads and writes them: one at a time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from nightbench.load.drive.rawlog import NO_STAMP, Cause, pack
from nightbench.load.drive.reads import PlainReads
from nightbench.load.parse.raw_records import RawRequestArrays, read_log
from nightbench.load.summarize.level_arrays import (
    CHUNKS,
    NUMBERS,
    TEXTS,
    RequestRows,
    numbers_of,
)
from nightbench.records import LoadRequest


def rows_of_records(records: list[LoadRequest]) -> RequestRows:
    """Records by column."""

    def chunks(name: str) -> np.ndarray:
        return np.array([value for row in records for value in getattr(row, name)], dtype=np.int32)

    return RequestRows(
        numbers=numbers_of(
            len(records),
            {
                name: np.array([getattr(row, name) for row in records], dtype=np.float64)
                for name in NUMBERS
            }
            | {"said_tokens": np.full(len(records), np.nan), "foreign": np.zeros(len(records))},
        ),
        texts={name: [getattr(row, name) for row in records] for name in TEXTS},
        chunk_deltas_us=chunks("chunk_deltas_us"),
        chunk_tokens=chunks("chunk_tokens"),
        chunk_ends=np.cumsum([len(row.chunk_tokens) for row in records], dtype=np.int64),
    )


def records_of_rows(rows: RequestRows) -> list[LoadRequest]:
    """Columns as records."""
    return [_record(rows, number) for number in range(len(rows))]


def _record(rows: RequestRows, number: int) -> LoadRequest:
    begin, end = [0, *rows.chunk_ends.tolist()][number : number + 2]
    fields: dict[str, Any] = {name: rows.texts[name][number] for name in TEXTS}
    for name in NUMBERS:
        value = float(rows.numbers[name][number])
        fields[name] = None if math.isnan(value) else value
    for name in CHUNKS:
        fields[name] = getattr(rows, name)[begin:end].tolist()
    return LoadRequest(**fields)


def raws_of(answers: list[list[bytes]], log: Path, cause: int = Cause.COMPLETE) -> RawRequestArrays:
    """Records of these answers, each a list of reads; read i was done in nanosecond i."""
    with log.open("wb") as file:
        for index, reads in enumerate(answers):
            kept = PlainReads()
            for number, read in enumerate(reads):
                kept.add(read, NO_STAMP, number, 0)
            file.write(
                pack(
                    index=index,
                    cause=cause,
                    fresh_connection=False,
                    scheduled_ns=0,
                    sent_ns=1,
                    connect_ns=0,
                    ended_ns=2,
                    reads=kept,
                )
            )
    (found,) = read_log(log)
    return found

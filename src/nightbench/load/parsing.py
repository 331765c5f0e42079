"""From the raw records of a finished level to the rows of its requests."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nightbench.load.clock import OffsetTrack
from nightbench.load.columns import ColumnsBuilder, RequestColumns
from nightbench.load.events import Translate
from nightbench.load.host import HostUse
from nightbench.load.job import ShardReport
from nightbench.load.levels import Level
from nightbench.load.limits import GoodputLimits
from nightbench.load.outcome import outcome_of
from nightbench.load.prefix_cache import CacheUse
from nightbench.load.raw_requests import read_log
from nightbench.load.rows import ReadTally, row_of
from nightbench.records import LoadRequest

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Of the requests file, and at once in memory: whichever is reached first.
_ROWS_A_GROUP = 20_000
_CHUNKS_A_GROUP = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A level that was driven and is not parsed yet."""

    level: Level
    measurement_key: str
    prompt_hashes: list[str]
    shares_prefix: bool
    raw_paths: tuple[Path, ...]
    reports: tuple[ShardReport, ...]
    started_at: datetime
    stopped: str | None
    limits: GoodputLimits | None
    cache: CacheUse | None = None
    host: HostUse | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """The rows of a level, as metrics need them."""

    columns: RequestColumns
    ended_us: NDArray[np.float64]
    tally: ReadTally
    errors: dict[str, str]


def parse(finished: Finished, requests_path: Path | None) -> Parsed:
    """The rows of a level, as a file and as columns."""
    tally, builder, ended = ReadTally(), ColumnsBuilder(), array("d")
    rows = _rows(finished, tally, ended)
    errors: dict[str, str] = {}
    with _writer(requests_path) as write:
        for group in _groups(rows):
            builder.add(group)
            write(group)
            for row in group:
                if row.error_kind is not None:
                    errors.setdefault(row.error_kind, row.error or "")
    return Parsed(builder.columns(), np.frombuffer(ended), tally, errors)


def _rows(finished: Finished, tally: ReadTally, ended_us: array[float]) -> Iterator[LoadRequest]:
    """The row of each request, in no order; `ended_us` gets when it ended."""
    start_ns = min((report.start_ns for report in finished.reports), default=0)
    translate = _translator(finished.level.response_parser)
    for raw_path, report in zip(finished.raw_paths, finished.reports, strict=False):
        offset_ns = OffsetTrack(report.offsets).offset_ns
        for raw in read_log(raw_path):
            ended_us.append((raw.ended_ns - start_ns) / 1000)
            yield row_of(
                raw,
                outcome_of(raw, translate),
                workload=finished.level.workload,
                level=finished.level.label,
                prompt_hash=finished.prompt_hashes[raw.index],
                start_ns=start_ns,
                offset_ns=offset_ns,
                tally=tally,
            )


def _groups(rows: Iterator[LoadRequest]) -> Iterator[list[LoadRequest]]:
    """Rows until they are many, or their chunks are."""
    group: list[LoadRequest] = []
    chunks = 0
    for row in rows:
        group.append(row)
        chunks += len(row.chunk_deltas_us)
        if len(group) >= _ROWS_A_GROUP or chunks >= _CHUNKS_A_GROUP:
            yield group
            group, chunks = [], 0
    if group:
        yield group


def _translator(response_parser: str | None) -> Translate | None:
    if response_parser is None:
        return None
    from nightbench.load.python_files import load_function, split_reference

    path, name = split_reference(response_parser)
    return load_function(Path(path), name)


@contextmanager
def _writer(path: Path | None) -> Iterator[Callable[[list[LoadRequest]], None]]:
    if path is None:
        yield lambda rows: None
        return
    from nightbench.load.requests_file import RequestWriter

    with RequestWriter(path) as writer:
        yield writer.write

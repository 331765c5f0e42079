"""From the raw records of a finished level to the rows of its requests."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nightbench.load.drive.host import HostUsage
from nightbench.load.drive.kernel_clock import OffsetTrack
from nightbench.load.drive.worker_protocol import ShardReport
from nightbench.load.native.answers import AnswerReader, answer_reader
from nightbench.load.parse.interpret import NOTHING_SECRET
from nightbench.load.parse.interpret_batch import outcomes_of
from nightbench.load.parse.raw_records import read_log
from nightbench.load.parse.stream_events import Translate
from nightbench.load.plan.levels import Level
from nightbench.load.prefix_cache import CacheUse
from nightbench.load.summarize.goodput_limits import GoodputLimits
from nightbench.load.summarize.level_arrays import ColumnsBuilder, RequestColumns, RequestRows
from nightbench.load.summarize.request_rows import ReadTally, rows_of
from nightbench.secrets.redaction import Redactor
from nightbench.untrusted.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
    host: HostUsage | None = None
    warmup_raw_paths: tuple[Path, ...] = ()
    redact: Redactor = NOTHING_SECRET
    answer_bytes: int = DEFAULT_LIMITS.answer_bytes  # of an answer, unpacked


@dataclass(frozen=True, slots=True)
class Parsed:
    """The rows of a level, as metrics need them."""

    columns: RequestColumns
    ended_us: NDArray[np.float64]
    tally: ReadTally
    errors: dict[str, str]
    warmup_errors: dict[str, str] = field(default_factory=dict)
    foreign: int = 0  # events of other kinds
    contradicted: int = 0  # answers whose usage is not believed


def parse(finished: Finished, requests_path: Path | None, *, compiled: bool = True) -> Parsed:
    """The rows of a level, as a file and as columns; `compiled`: by way of C where it was built."""
    tally, builder, ended_us = ReadTally(), ColumnsBuilder(), array("d")
    reader = _reader() if compiled else None
    errors: dict[str, str] = {}
    foreign = contradicted = 0
    with _writer(requests_path) as write:
        for rows in _rows(finished, reader, tally, ended_us):
            builder.add(rows)
            write(rows)
            _take_errors(errors, rows.texts["error_kind"], rows.texts["error"])
            foreign += int(rows.numbers["foreign"].sum())
            contradicted += int(np.count_nonzero(~np.isnan(rows.numbers["said_tokens"])))
    return Parsed(
        builder.columns(),
        np.frombuffer(ended_us),
        tally,
        errors,
        _warmup_errors(finished),
        foreign,
        contradicted,
    )


def _take_errors(errors: dict[str, str], kinds: list[str | None], said: list[str | None]) -> None:
    """Add the kinds of failure that are new, each with what the first of it said."""
    for kind, error in zip(kinds, said, strict=True):
        if kind is not None:
            errors.setdefault(kind, error or "")


def _warmup_errors(finished: Finished) -> dict[str, str]:
    """Why requests of the warm-up failed: whatever did is not done with it."""
    errors: dict[str, str] = {}
    translate = _translator(finished.level.response_parser)
    for path in finished.warmup_raw_paths:
        for raws in read_log(path):
            found = outcomes_of(
                raws, None, translate, redact=finished.redact, answer_bytes=finished.answer_bytes
            )
            _take_errors(errors, found.texts["error_kind"], found.texts["error"])
    return errors


def _reader() -> AnswerReader | None:
    """What reads in C. Were it replaced since the level began, Python reads the same."""
    try:
        return answer_reader()
    except ImportError:
        return None


def _rows(
    finished: Finished, reader: AnswerReader | None, tally: ReadTally, ended_us: array[float]
) -> Iterator[RequestRows]:
    """The rows of all requests, in no order; `ended_us` gets when each of them ended."""
    level = finished.level
    start_ns = min((report.start_ns for report in finished.reports), default=0)
    translate = _translator(level.response_parser)
    for raw_path, report in zip(finished.raw_paths, finished.reports, strict=False):
        offset_ns = OffsetTrack(report.offsets).offset_ns
        for raws in read_log(raw_path):
            ended_us.frombytes(((raws["ended_ns"] - start_ns) / 1000).tobytes())
            yield rows_of(
                raws,
                outcomes_of(
                    raws,
                    reader,
                    translate,
                    redact=finished.redact,
                    answer_bytes=finished.answer_bytes,
                    most_tokens=level.most_tokens,
                ),
                workload=level.workload,
                level=level.label,
                prompt_hashes=finished.prompt_hashes,
                start_ns=start_ns,
                offset_ns=offset_ns,
                tally=tally,
            )


def _translator(response_parser: str | None) -> Translate | None:
    if response_parser is None:
        return None
    from nightbench.load.plan.python_files import load_function, split_reference

    path, name = split_reference(response_parser)
    return load_function(Path(path), name)


@contextmanager
def _writer(path: Path | None) -> Iterator[Callable[[RequestRows], None]]:
    if path is None:
        yield lambda rows: None
        return
    from nightbench.load.summarize.requests_file import RequestWriter

    with RequestWriter(path) as writer:
        yield writer.write

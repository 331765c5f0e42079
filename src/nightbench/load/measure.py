"""Measuring one level: plan the processes, drive them, parse what they recorded, sum it up."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nightbench import progress
from nightbench.endpoint import Endpoint
from nightbench.home.private_files import make_private
from nightbench.load.drive.generator_processes import GeneratorFailed, GeneratorPool
from nightbench.load.drive.host import HostReading, HostUsage, read_host
from nightbench.load.drive.jobs import GeneratorOptions, allow_open_files, plan_jobs, remove_files
from nightbench.load.drive.kernel_clock import stamping
from nightbench.load.drive.worker_protocol import Job, ShardReport
from nightbench.load.native.parts import load_library
from nightbench.load.plan.levels import Level
from nightbench.load.plan.request_bytes import write_bodies
from nightbench.load.plan.workloads import Prompts
from nightbench.load.prefix_cache import CacheUse, CacheWatch
from nightbench.records import LoadInterval, LoadLevel

if TYPE_CHECKING:
    from nightbench.load.summarize.goodput_limits import GoodputLimits
    from nightbench.load.summarize.level_rows import Finished


@dataclass(frozen=True, slots=True)
class MeasuredLevel:
    """A measured level: its row, the intervals of its statistics, and a file of its requests.

    `errors`: the kinds of failure there were, each with what the first of it said. `notes`: what is
    to be said of its server once.
    """

    level: LoadLevel
    intervals: tuple[LoadInterval, ...]
    requests_path: Path
    errors: dict[str, str]
    notes: tuple[str, ...] = ()


def nothing_at_bounds() -> None:
    """Nobody wants to know when the clock starts and ends."""


def never_stop() -> str | None:
    """Nothing ends the level early."""
    return None


def measure_level(
    level: Level,
    prompts: Prompts,
    endpoint: Endpoint,
    *,
    work_dir: Path,
    on_progress: progress.OnProgress = progress.ignore,
    limits: GoodputLimits | None = None,
    stop: Callable[[], str | None] = never_stop,
    at_bounds: Callable[[], None] = nothing_at_bounds,
    options: GeneratorOptions = GeneratorOptions(),  # noqa: B008  (frozen)
    on_cut: Callable[[MeasuredLevel], None] | None = None,
) -> MeasuredLevel:
    """Put an endpoint under one level of load. Failed requests are rows, never exceptions.

    `stop` is asked while the level runs; a reason it returns ends the level and makes it invalid.
    `at_bounds` is called where the warm-up is over, and where the level is.
    `on_cut` gets what a level came to that was cancelled, before the cancellation is raised again.
    Files are written under `work_dir`; raw records are removed, however it ends. Raises
    GeneratorFailed where the generator itself cannot work, BadInput for a URL that is none.
    """
    _check_compiled(options)
    # A load may have the same level twice: its prompts tell them apart.
    stem = work_dir / f"{level.label}-{level.first_prompt}"
    bodies_path = stem.with_name(f"{stem.name}.bodies")
    with _full_disk_told(level, work_dir):
        make_private(work_dir)
        hashes = write_bodies(level, prompts, endpoint.model, bodies_path)
        jobs = plan_jobs(level, endpoint, bodies_path, options)
        try:
            driven = _drive(
                jobs,
                level,
                endpoint,
                on_progress=on_progress,
                stop=stop,
                at_bounds=at_bounds,
                options=options,
                keeps_what_is_cut=on_cut is not None,
            )
            finished = _finished(
                level, prompts, endpoint, jobs=jobs, hashes=hashes, driven=driven, limits=limits
            )
            measured = _summed_up(finished, bodies_path.with_suffix(".parquet"), options)
        finally:
            for job in jobs:
                remove_files(job)
    if driven.cut is not None:
        if on_cut is not None:
            on_cut(measured)
        raise driven.cut
    return measured


@contextmanager
def _full_disk_told(level: Level, work_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise GeneratorFailed(
            f"level {level.label}: no space left in {work_dir} for its requests and recordings",
            hint="Free some space, or set TMPDIR to a folder on another disk.",
        ) from None


def _finished(
    level: Level,
    prompts: Prompts,
    endpoint: Endpoint,
    *,
    jobs: Sequence[Job],
    hashes: Sequence[str],
    driven: _Driven,
    limits: GoodputLimits | None,
) -> Finished:
    """All that is known of a level before anything is parsed."""
    from nightbench.load.summarize.level_rows import Finished

    return Finished(
        level=level,
        measurement_key=level.measurement_key(prompts),
        prompt_hashes=list(hashes[level.warmup_prompts :]),
        shares_prefix=prompts.shares_prefix,
        raw_paths=tuple(Path(job.raw_path) for job in jobs),
        warmup_raw_paths=tuple(Path(job.warmup_raw_path) for job in jobs if job.warmup_raw_path),
        reports=driven.reports,
        started_at=driven.started_at,
        stopped=driven.stopped,
        limits=limits,
        cache=driven.cache,
        host=driven.host,
        redact=endpoint.redact,
        answer_bytes=endpoint.limits.answer_bytes,
    )


def _summed_up(finished: Finished, requests_path: Path, options: GeneratorOptions) -> MeasuredLevel:
    from nightbench.load.summarize.level_summary import summarise

    kept = requests_path if options.keep_requests else None
    summary = summarise(finished, kept, compiled=options.compiled)
    return MeasuredLevel(
        summary.level, summary.intervals, requests_path, summary.errors, summary.notes
    )


def _check_compiled(options: GeneratorOptions) -> None:
    """Say that the parser does not fit before anything is sent, not when all has been."""
    try:
        if options.compiled:
            load_library("answers")
    except ImportError as error:
        raise GeneratorFailed(f"the load generator cannot start: {error}") from error


@dataclass(frozen=True, slots=True)
class _Driven:
    """What is known once a level's requests are over, before anything is parsed."""

    started_at: datetime
    reports: tuple[ShardReport, ...]
    stopped: str | None
    cache: CacheUse | None
    host: HostUsage | None
    cut: BaseException | None = None


def _drive(
    jobs: list[Job],
    level: Level,
    endpoint: Endpoint,
    *,
    on_progress: progress.OnProgress,
    stop: Callable[[], str | None],
    at_bounds: Callable[[], None],
    options: GeneratorOptions,
    keeps_what_is_cut: bool,
) -> _Driven:
    """Send the requests; read cache and host where the warm-up ends and where the level does."""
    subject = f"{level.workload} {level.label}"
    cache = CacheWatch(endpoint, is_watched=options.watch_prefix_cache)
    started_at = datetime.now(UTC)
    readings: list[HostReading | None] = []

    def on_counts(done: int, failed: int) -> None:
        detail = f"{failed} failed" if failed else ""
        on_progress(progress.Progress("requests", subject, detail, done, level.num_prompts))

    def on_ready() -> None:
        cache.mark()
        at_bounds()
        readings.append(read_host())

    allow_open_files(max(job.concurrency for job in jobs))
    cache.begin()
    with stamping(options.kernel_stamps), GeneratorPool(jobs) as crew:
        on_progress(progress.Progress("requests", subject, "warm-up", 0, level.num_prompts))
        reports, stopped = crew.run(on_counts, on_ready, stop, keeps_what_is_cut=keeps_what_is_cut)
        readings.append(read_host())
        at_bounds()
    cache.mark()
    before, after = readings[0], readings[-1]
    host = HostUsage(before, after) if len(readings) == 2 and before and after else None
    return _Driven(started_at, tuple(reports), stopped, cache.use, host, crew.cut)

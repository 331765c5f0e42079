"""Measuring one level: plan the processes, drive them, parse what they recorded, sum it up."""

from __future__ import annotations

import errno
import math
import os
import resource
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nightbench import progress
from nightbench.endpoint import Endpoint
from nightbench.errors import BadInput
from nightbench.home.private_files import make_private
from nightbench.load.drive.clock import stamping
from nightbench.load.drive.host import HostReading, HostUse, read_host
from nightbench.load.drive.processes import Crew, GeneratorFailed
from nightbench.load.drive.worker_protocol import Job, ShardReport
from nightbench.load.native.parts import load_library
from nightbench.load.plan.levels import Level
from nightbench.load.plan.request_bytes import address_of, head_of, write_bodies
from nightbench.load.plan.workloads import Prompts
from nightbench.load.prefix_cache import (
    CacheCounters,
    CacheUse,
    read_cache_counters,
    reset_prefix_cache,
)
from nightbench.memory import available_bytes
from nightbench.records import LoadInterval, LoadLevel

if TYPE_CHECKING:
    from nightbench.load.summarize.goodput_limits import GoodputLimits

STREAMS_A_PROCESS = 1024
RATE_A_PROCESS = 2000.0
_OWN_FILES = 24  # that a generator has open beside its connections
_CACHE_READINGS = 3  # before the warm-up, before the level, after it
HELD_SHARE = 0.5  # of the memory that is left: what all answers on their way may take together


@dataclass(frozen=True, slots=True)
class Measured:
    """A measured level: its row, the intervals of its statistics, and a file of its requests.

    `errors`: the kinds of failure there were, each with what the first of it said. `notes`: what is
    to be said of its server once.
    """

    level: LoadLevel
    intervals: tuple[LoadInterval, ...]
    requests_path: Path
    errors: dict[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorOptions:
    """How the generator works, where that is not the level's business."""

    processes: int | None = None  # as many as the level needs
    kernel_stamps: bool = True
    compiled: bool = True  # read and parse in C where that was built
    keep_requests: bool = True  # write the file of requests
    watch_prefix_cache: bool = True  # ask the server for its counters, and to empty its cache
    planted_stall_ns: tuple[int, int] | None = None  # for tests: every so often, for so long


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
    options: GeneratorOptions = GeneratorOptions(),
    on_cut: Callable[[Measured], None] | None = None,
) -> Measured:
    """Put an endpoint under one level of load. Failed requests are rows, never exceptions.

    `stop` is asked while the level runs; a reason it returns ends the level and makes it invalid.
    `at_bounds` is called where the warm-up is over, and where the level is.
    `on_cut` gets what a level came to that was cancelled, before the cancellation is raised again.
    Files are written under `work_dir`; raw records are removed, however it ends. Raises
    GeneratorFailed where the generator itself cannot work, BadInput for a URL that is none.
    """
    _check_compiled(options)
    # A load may have the same level twice: its prompts tell them apart.
    stem = f"{level.label}-{level.first_prompt}"
    try:
        return _measure(
            level,
            prompts,
            endpoint,
            work_dir / stem,
            on_progress=on_progress,
            limits=limits,
            stop=stop,
            at_bounds=at_bounds,
            options=options,
            on_cut=on_cut,
        )
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise GeneratorFailed(
            f"level {level.label}: there is no room left under {work_dir} for what it sends and "
            "records",
            hint="Make room, or set TMPDIR to a folder that has it.",
        ) from None


def _measure(
    level: Level,
    prompts: Prompts,
    endpoint: Endpoint,
    stem: Path,
    *,
    on_progress: progress.OnProgress,
    limits: GoodputLimits | None,
    stop: Callable[[], str | None],
    at_bounds: Callable[[], None],
    options: GeneratorOptions,
    on_cut: Callable[[Measured], None] | None,
) -> Measured:
    """The level, its files beginning with `stem`."""
    make_private(stem.parent)
    bodies_path = stem.with_name(f"{stem.name}.bodies")
    hashes = write_bodies(level, prompts, endpoint.model, bodies_path)
    jobs = plan_jobs(level, endpoint, bodies_path, options)
    try:
        return _measured(
            level,
            prompts,
            endpoint,
            jobs,
            list(hashes[level.warmup_prompts :]),
            on_progress=on_progress,
            limits=limits,
            stop=stop,
            at_bounds=at_bounds,
            options=options,
            on_cut=on_cut,
        )
    finally:
        for job in jobs:
            _remove(job)


def _measured(
    level: Level,
    prompts: Prompts,
    endpoint: Endpoint,
    jobs: list[Job],
    hashes: list[str],
    *,
    on_progress: progress.OnProgress,
    limits: GoodputLimits | None,
    stop: Callable[[], str | None],
    at_bounds: Callable[[], None],
    options: GeneratorOptions,
    on_cut: Callable[[Measured], None] | None,
) -> Measured:
    """Drive the level and sum it up."""
    started_at = datetime.now(UTC)
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
    from nightbench.load.summarize.level_rows import Finished
    from nightbench.load.summarize.summary import summarise

    finished = Finished(
        level=level,
        measurement_key=level.measurement_key(prompts),
        prompt_hashes=hashes,
        shares_prefix=prompts.shares_prefix,
        raw_paths=tuple(Path(job.raw_path) for job in jobs),
        warmup_raw_paths=tuple(Path(job.warmup_raw_path) for job in jobs if job.warmup_raw_path),
        reports=driven.reports,
        started_at=started_at,
        stopped=driven.stopped,
        limits=limits,
        cache=driven.cache,
        host=driven.host,
        redact=endpoint.redact,
        answer_bytes=endpoint.limits.answer_bytes,
    )
    requests_path = Path(jobs[0].bodies_path).with_suffix(".parquet")
    kept = requests_path if options.keep_requests else None
    summary = summarise(finished, kept, compiled=options.compiled)
    measured = Measured(
        summary.level, summary.intervals, requests_path, summary.errors, summary.notes
    )
    if driven.cut is not None:
        if on_cut is not None:
            on_cut(measured)
        raise driven.cut
    return measured


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

    reports: tuple[ShardReport, ...]
    stopped: str | None
    cache: CacheUse | None
    host: HostUse | None
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
    cache = _CacheWatch(endpoint, options)
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
    with stamping(options.kernel_stamps), Crew(jobs) as crew:
        on_progress(progress.Progress("requests", subject, "warm-up", 0, level.num_prompts))
        reports, stopped = crew.run(on_counts, on_ready, stop, keeps_what_is_cut=keeps_what_is_cut)
        readings.append(read_host())
        at_bounds()
    cache.mark()
    before, after = readings[0], readings[-1]
    host = HostUse(before, after) if len(readings) == 2 and before and after else None
    return _Driven(tuple(reports), stopped, cache.use, host, crew.cut)


class _CacheWatch:
    """Empties the server's prefix cache before a level and reads its counters around it."""

    def __init__(self, endpoint: Endpoint, options: GeneratorOptions) -> None:
        self._endpoint = endpoint
        self._options = options
        self._marks: list[CacheCounters] = []
        self._offered = options.watch_prefix_cache

    def begin(self) -> None:
        """Empty the cache where that is offered, and take the first reading."""
        self.mark()
        is_known = self._options.watch_prefix_cache and self._endpoint.cache_reset_path
        if self._offered or is_known:
            reset_prefix_cache(self._endpoint)

    def mark(self) -> None:
        """Take a reading, unless the server had none to give before."""
        if not self._offered:
            return
        counters = read_cache_counters(self._endpoint)
        if counters is None:
            self._offered = False
        else:
            self._marks.append(counters)

    @property
    def use(self) -> CacheUse | None:
        """The three readings, where there were three."""
        if len(self._marks) != _CACHE_READINGS:
            return None
        before_warmup, before, after = self._marks
        return CacheUse(before_warmup, before, after)


def plan_jobs(
    level: Level, endpoint: Endpoint, bodies_path: Path, options: GeneratorOptions
) -> list[Job]:
    """The shares of a level: request i goes to process i modulo their number."""
    address = address_of(endpoint, level.path)
    count = options.processes or processes_for(level)
    warmup = tuple(range(level.warmup_prompts))
    end = level.warmup_prompts + level.num_prompts
    offsets_path = _write_offsets(level, bodies_path)
    seconds = 1_000_000_000
    first_token, between = level.timeouts.first_token, level.timeouts.between_tokens
    total = level.timeouts.total
    limits = endpoint.limits
    held_bytes = max(2 * limits.answer_bytes, round(HELD_SHARE * available_bytes()))
    return [
        Job(
            host=address.host,
            port=address.port,
            tls=address.tls,
            head=head_of(endpoint, address),
            bodies_path=str(bodies_path),
            raw_path=str(bodies_path.with_suffix(f".{shard}.raw")),
            warmup=warmup[shard::count],
            requests=(level.warmup_prompts + shard, end, count),
            index_base=level.warmup_prompts,
            concurrency=_share(connections_for(level), shard, count),
            offsets_path=offsets_path,
            duration_ns=None if level.duration_s is None else round(level.duration_s * seconds),
            connect_timeout_ns=round(level.timeouts.connect * seconds),
            # An answer that is not streamed has no first token, and no time between tokens.
            first_token_timeout_ns=round(seconds * (first_token if level.stream else total)),
            between_tokens_timeout_ns=round(seconds * (between if level.stream else total)),
            total_timeout_ns=round(seconds * total),
            warmup_raw_path=str(bodies_path.with_suffix(f".{shard}.warmup")) if warmup else None,
            choices=level.choices,
            response_parser=level.response_parser,
            answer_bytes=limits.answer_bytes,
            error_bytes=limits.error_bytes,
            held_bytes=held_bytes // count,
            verify_tls=endpoint.verify_tls,
            kernel_stamps=options.kernel_stamps,
            compiled=options.compiled,
            planted_stall_ns=options.planted_stall_ns,
        )
        for shard in range(count)
    ]


def processes_for(level: Level) -> int:
    """How many generator processes a level needs; never more than the cores there are."""
    cores = len(os.sched_getaffinity(0))
    if level.request_rate is not None and not math.isinf(level.request_rate):
        wanted = level.request_rate / RATE_A_PROCESS
    else:
        wanted = connections_for(level) / STREAMS_A_PROCESS
    return max(1, min(math.ceil(wanted), cores, level.num_prompts))


def connections_for(level: Level) -> int:
    """Connections opened before the clock starts: a slot each, or a second's worth of arrivals."""
    if level.max_concurrency is not None:
        return min(level.max_concurrency, level.num_prompts)
    rate = level.request_rate or math.inf
    wanted = level.num_prompts if math.isinf(rate) else max(8, math.ceil(rate))
    return min(wanted, level.num_prompts)


def allow_open_files(connections: int) -> None:
    """Raise the soft limit of open files to the hard one; children inherit it.

    Raises BadInput where that is too low for so many connections of one process.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    needed = connections + _OWN_FILES
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise BadInput(
            f"{connections} connections need {needed} open files a process, and this shell's hard "
            f"limit is {hard}",
            hint="Raise it (ulimit -Hn, limits.conf, LimitNOFILE=), or ask for fewer streams.",
        )


def _share(total: int, shard: int, count: int) -> int:
    return total // count + (shard < total % count)


def _write_offsets(level: Level, bodies_path: Path) -> str | None:
    if level.arrivals is None:
        return None
    offsets: array[int] = level.arrivals.offsets_ns(level.num_prompts)
    path = bodies_path.with_suffix(".offsets")
    path.write_bytes(offsets.tobytes())
    return str(path)


def _remove(job: Job) -> None:
    bodies = Path(job.bodies_path)
    paths = [Path(job.raw_path), bodies, bodies.with_suffix(".ends")]
    if job.warmup_raw_path is not None:
        paths.append(Path(job.warmup_raw_path))
    for path in paths:
        path.unlink(missing_ok=True)
    if job.offsets_path is not None:
        Path(job.offsets_path).unlink(missing_ok=True)

"""Measuring one level: plan the processes, drive them, parse what they recorded, sum it up."""

from __future__ import annotations

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
HELD_SHARE = 0.5  # of the memory that is left: what all answers on their way may take together


@dataclass(frozen=True, slots=True)
class Measured:
    """A measured level: its row, the intervals of its statistics, and a file of its requests.

    `errors`: the kinds of failure there were, each with what the first of it said.
    """

    level: LoadLevel
    intervals: tuple[LoadInterval, ...]
    requests_path: Path
    errors: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorOptions:
    """How the generator works, where that is not the level's business."""

    processes: int | None = None  # as many as the level needs
    verify_tls: bool = True
    kernel_stamps: bool = True
    compiled: bool = True  # read and parse in C where that was built
    keep_requests: bool = True  # write the file of requests
    watch_prefix_cache: bool = True  # ask the server for its counters, and to empty its cache
    planted_stall_ns: tuple[int, int] | None = None  # for tests: every so often, for so long


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
    options: GeneratorOptions = GeneratorOptions(),
) -> Measured:
    """Put an endpoint under one level of load. Failed requests are rows, never exceptions.

    `stop` is asked while the level runs; a reason it returns ends the level and makes it invalid.
    Files are written under `work_dir`; raw records are removed once they are parsed. Raises
    GeneratorFailed where the generator itself cannot work, BadInput for a URL that is none.
    """
    _check_compiled(options)
    make_private(work_dir)
    bodies_path = work_dir / f"{level.label}.bodies"
    hashes = write_bodies(level, prompts, endpoint.model, bodies_path)
    jobs = plan_jobs(level, endpoint, bodies_path, options)
    started_at = datetime.now(UTC)
    driven = _drive(jobs, level, endpoint, on_progress=on_progress, stop=stop, options=options)
    from nightbench.load.summarize.level_rows import Finished
    from nightbench.load.summarize.summary import summarise

    finished = Finished(
        level=level,
        measurement_key=level.measurement_key(prompts),
        prompt_hashes=hashes[level.warmup_prompts :],
        shares_prefix=prompts.shares_prefix,
        raw_paths=tuple(Path(job.raw_path) for job in jobs),
        reports=driven.reports,
        started_at=started_at,
        stopped=driven.stopped,
        limits=limits,
        cache=driven.cache,
        host=driven.host,
        redact=endpoint.redact,
        answer_bytes=endpoint.limits.answer_bytes,
    )
    requests_path = work_dir / f"{level.label}.parquet"
    kept = requests_path if options.keep_requests else None
    summary = summarise(finished, kept, compiled=options.compiled)
    for job in jobs:
        _remove(job)
    return Measured(summary.level, summary.intervals, requests_path, summary.errors)


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


def _drive(
    jobs: list[Job],
    level: Level,
    endpoint: Endpoint,
    *,
    on_progress: progress.OnProgress,
    stop: Callable[[], str | None],
    options: GeneratorOptions,
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
        readings.append(read_host())

    allow_open_files()
    cache.begin()
    with stamping(options.kernel_stamps), Crew(jobs) as crew:
        on_progress(progress.Progress("requests", subject, "warm-up", 0, level.num_prompts))
        reports, stopped = crew.run(on_counts, on_ready, stop)
        readings.append(read_host())
    cache.mark()
    before, after = readings[0], readings[-1]
    host = HostUse(before, after) if len(readings) == 2 and before and after else None
    return _Driven(tuple(reports), stopped, cache.use, host)


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
            reset_prefix_cache(self._endpoint, verify_tls=self._options.verify_tls)

    def mark(self) -> None:
        """Take a reading, unless the server had none to give before."""
        if not self._offered:
            return
        counters = read_cache_counters(self._endpoint, verify_tls=self._options.verify_tls)
        if counters is None:
            self._offered = False
        else:
            self._marks.append(counters)

    @property
    def use(self) -> CacheUse | None:
        """The three readings, where there were three."""
        return CacheUse(*self._marks) if len(self._marks) == 3 else None


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
            first_token_timeout_ns=round(level.timeouts.first_token * seconds),
            between_tokens_timeout_ns=round(level.timeouts.between_tokens * seconds),
            total_timeout_ns=round(level.timeouts.total * seconds),
            answer_bytes=limits.answer_bytes,
            error_bytes=limits.error_bytes,
            held_bytes=held_bytes // count,
            verify_tls=options.verify_tls,
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


def allow_open_files() -> None:
    """Raise the soft limit of open files to the hard one; children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


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
    for path in (Path(job.raw_path), bodies, bodies.with_suffix(".ends")):
        path.unlink(missing_ok=True)
    if job.offsets_path is not None:
        Path(job.offsets_path).unlink(missing_ok=True)

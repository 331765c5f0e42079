"""The shares of a level: what each generator process is told to do, and how many there are."""

from __future__ import annotations

import math
import os
import resource
from array import array
from dataclasses import dataclass
from pathlib import Path

from nightbench.endpoint import Endpoint
from nightbench.errors import BadInput
from nightbench.load.drive.worker_protocol import Job
from nightbench.load.plan.levels import Level
from nightbench.load.plan.request_bytes import address_of, head_of
from nightbench.memory import available_bytes

STREAMS_A_PROCESS = 1024
RATE_A_PROCESS = 2000.0
_OWN_FILES = 24  # that a generator has open beside its connections
HELD_SHARE = 0.5  # of the memory that is left: what all answers on their way may take together


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorOptions:
    """How the generator works, where that is not the level's business."""

    processes: int | None = None  # as many as the level needs
    kernel_stamps: bool = True
    compiled: bool = True  # read and parse in C where that was built
    keep_requests: bool = True  # write the file of requests
    watch_prefix_cache: bool = True  # ask the server for its counters, and to empty its cache
    planted_stall_ns: tuple[int, int] | None = None  # for tests: every so often, for so long


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
            f"{connections} connections need {needed} open files per process, but this shell's "
            f"hard "
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


def remove_files(job: Job) -> None:
    """Remove what a job was given and what it has recorded, as far as that is there."""
    bodies = Path(job.bodies_path)
    paths = [Path(job.raw_path), bodies, bodies.with_suffix(".ends")]
    if job.warmup_raw_path is not None:
        paths.append(Path(job.warmup_raw_path))
    for path in paths:
        path.unlink(missing_ok=True)
    if job.offsets_path is not None:
        Path(job.offsets_path).unlink(missing_ok=True)

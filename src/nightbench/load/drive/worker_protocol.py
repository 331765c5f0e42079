"""What a parent hands a generator process, and what comes back: one JSON object a line.

It travels over pipes, because the headers in it carry the API key.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One generator process's share of a level.

    Request i of this process is line `first + i * step` of the body file, after its warm-up ones.
    """

    host: str
    port: int
    tls: bool
    # The request's head up to and with "Content-Length: ", latin-1; it carries the key.
    head: str = field(repr=False)
    bodies_path: str
    raw_path: str
    warmup: tuple[int, ...]  # indices of bodies
    requests: tuple[int, int, int]  # a range of indices of bodies: start, stop, step
    index_base: int  # body index of the level's request 0
    concurrency: int  # connections of the closed loop, or opened beforehand for the open one
    offsets_path: str | None  # open loop: when each request leaves, int64 nanoseconds
    duration_ns: int | None
    connect_timeout_ns: int
    first_token_timeout_ns: int
    between_tokens_timeout_ns: int
    total_timeout_ns: int
    answer_bytes: int  # kept at most of one answer …
    error_bytes: int  # … of one that is an error …
    held_bytes: int  # … and of all that are on their way together
    warmup_raw_path: str | None = None  # what became of the warm-up; None: nobody asks
    choices: int = 1  # answers to each request
    response_parser: str | None = None  # as a level's
    verify_tls: bool = True
    kernel_stamps: bool = True
    compiled: bool = True  # read in C where that was built
    planted_stall_ns: tuple[int, int] | None = None  # for tests: every so often, for so long

    def encode(self) -> bytes:
        """The job as one line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Job:
        """The job of a line."""
        fields = json.loads(line)
        fields["warmup"] = tuple(fields["warmup"])
        fields["requests"] = tuple(fields["requests"])
        if fields["planted_stall_ns"] is not None:
            fields["planted_stall_ns"] = tuple(fields["planted_stall_ns"])
        return cls(**fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardReport:
    """What a generator process says of itself when it is done. Times are CLOCK_MONOTONIC ns."""

    start_ns: int
    end_ns: int
    in_flight_ns: int  # the integral of requests in flight over time
    cpu_s: float
    offsets: tuple[tuple[int, int], ...]
    prompts_exhausted: bool
    full_from_ns: int | None  # every slot busy from here …
    full_until_ns: int | None  # … until one stayed empty
    warmup_failed: int = 0
    kept_open: int = 0  # responses that stayed open after their answer was over
    resent: int = 0  # requests, once more, on a fresh connection
    extra: dict[str, Any] = field(default_factory=dict)

    def encode(self) -> dict[str, Any]:
        """The report as JSON."""
        return asdict(self)

    @classmethod
    def decode(cls, fields: dict[str, Any]) -> ShardReport:
        """The report of JSON."""
        offsets = tuple((int(at), int(offset)) for at, offset in fields["offsets"])
        return cls(**(fields | {"offsets": offsets}))

"""A level of a million requests, from raw records to metrics: how long, and how much memory.

    python -m tests.benchmarks.million_requests [--requests 1000000] [--tokens 20] [--folder DIR]

Writes the raw log that a generator would have written (5 GB by default, removed afterwards), then
parses and sums it up in a process of its own, as `nightbench load` does. Peak memory is that
process's; "metrics" is what it does once the rows are there.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from nightbench.load.drive.rawlog import HEADER, NO_STAMP, Cause, pack
from nightbench.load.drive.reads import PlainReads
from nightbench.load.drive.worker_protocol import ShardReport
from nightbench.load.plan.levels import Level, LevelTimeouts
from nightbench.load.summarize.level_rows import Finished, parse
from nightbench.load.summarize.level_summary import sum_up

START_NS, OFFSET_NS, MS = 1_000_000_000_000, 1_763_000_000_000_000_000, 1_000_000
STREAMS, SECOND = 512, 1_000_000_000
_BLOCK = 2000


def main() -> int:
    """Write, parse, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="where 5 GB find room")
    parser.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.log:
        print(json.dumps(_summarise(args.log, args.requests)))
        return 0
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        log = Path(folder) / "level.raw"
        write_log(log, args.requests, args.tokens)
        print(
            f"{args.requests:,} requests of {args.tokens} tokens, {log.stat().st_size / 1e9:.1f} GB"
        )
        argv = [sys.executable, "-m", "tests.benchmarks.million_requests"]
        argv += ["--log", str(log), "--requests", str(args.requests)]
        done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True)
    for name, value in json.loads(done.stdout).items():
        print(f"{name:>16} {value}")
    return 0


def write_log(path: Path, requests: int, tokens: int) -> None:
    """Requests of `tokens` tokens each: a first one after some 50 ms, then one every 10 or so."""
    rng = np.random.default_rng(4)
    template = _record(tokens)
    reads = tokens + 1
    with path.open("wb") as file:
        for first in range(0, requests, _BLOCK):
            count = min(_BLOCK, requests - first)
            block = np.tile(np.frombuffer(template, np.uint8), (count, 1))
            index = np.arange(first, first + count)
            sent = START_NS + index * (1000 * MS // STREAMS)
            gaps = rng.gamma(20, 0.5, (count, reads)) * MS
            gaps[:, 0] *= 5
            at = sent[:, None] + gaps.cumsum(axis=1).astype(np.int64)
            stamps = at + OFFSET_NS
            at += rng.integers(10_000, 500_000, at.shape)
            _put(block, 0, index[:, None].astype("<u4"))
            times = np.stack((sent, sent, 0 * sent, at[:, -1]), axis=1)
            _put(block, HEADER.size - 32, times)
            pairs = np.stack((stamps // SECOND, stamps % SECOND), axis=2).reshape(count, -1)
            _put(block, HEADER.size, pairs)
            _put(block, HEADER.size + 16 * reads, at)
            file.write(block.tobytes())


def _put(block: np.ndarray, offset: int, values: np.ndarray) -> None:
    data = np.ascontiguousarray(values)
    width = data.shape[1] * data.itemsize
    block[:, offset : offset + width] = data.view(np.uint8).reshape(len(data), width)


def _record(tokens: int) -> bytes:
    """One record, with the bytes a vLLM would have sent and times still to be filled in."""
    reads = [_event(f" word{number % 7}") for number in range(tokens)]
    usage = {"prompt_tokens": 30, "completion_tokens": tokens, "total_tokens": 30 + tokens}
    closing = [_event("", finish="length"), _framed({"choices": [], "usage": usage})]
    reads.append(b"".join([*closing, b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"]))
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    reads[0] = head + b"Transfer-Encoding: chunked\r\n\r\n" + reads[0]
    kept = PlainReads()
    for read in reads:
        kept.add(read, NO_STAMP, 0, 0)
    return pack(
        index=0,
        cause=Cause.COMPLETE,
        fresh_connection=False,
        scheduled_ns=0,
        sent_ns=0,
        connect_ns=0,
        ended_ns=0,
        reads=kept,
    )


def _event(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": finish}
    head = {"id": "chatcmpl-0123456789abcdef", "object": "chat.completion.chunk", "model": "m"}
    return _framed(head | {"created": 1_763_000_000, "choices": [choice]})


def _framed(event: dict[str, object]) -> bytes:
    data = b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


def _summarise(log: Path, requests: int) -> dict[str, object]:
    finished = Finished(
        level=_level(requests),
        measurement_key="0" * 16,
        prompt_hashes=[f"{index:016x}" for index in range(requests)],
        shares_prefix=False,
        raw_paths=(log,),
        reports=(_report(),),
        started_at=datetime.now(UTC),
        stopped=None,
        limits=None,
    )
    began = time.perf_counter()
    parsed = parse(finished, log.with_suffix(".parquet"))
    parsed_at = time.perf_counter()
    found = sum_up(finished, parsed)
    ended = time.perf_counter()
    return {
        "completed": found.level.completed,
        "mean_ttft_ms": round(found.level.mean_ttft_ms or 0, 2),
        "mean_itl_ms": round(found.level.mean_itl_ms or 0, 2),
        "parse_s": round(parsed_at - began, 1),
        "metrics_s": round(ended - parsed_at, 1),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _level(requests: int) -> Level:
    return Level(
        workload="w",
        label="c512",
        max_concurrency=STREAMS,
        request_rate=None,
        burstiness=1.0,
        num_prompts=requests,
        duration_s=None,
        warmup_prompts=0,
        first_prompt=0,
        seed=0,
        generation={},
        timeouts=LevelTimeouts(connect=1, first_token=1, between_tokens=1, total=1),
    )


def _report() -> ShardReport:
    return ShardReport(
        start_ns=START_NS,
        end_ns=START_NS + 3600 * SECOND,
        in_flight_ns=1,
        cpu_s=1.0,
        offsets=((START_NS, OFFSET_NS),),
        prompts_exhausted=False,
        full_from_ns=START_NS + SECOND,
        full_until_ns=START_NS + 3000 * SECOND,
    )


if __name__ == "__main__":
    sys.exit(main())

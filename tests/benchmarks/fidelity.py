"""How far load generators are from the truth, side by side: `make fidelity`.

    python -m tests.benchmarks.fidelity --tokenizer MODEL_FOLDER [--peers nightbench,vllm,evalscope]
        [--streams 32,128,256,512] [--rate 400] [--rounds 3] [--lines FILE.jsonl]

Every tool does the same work against the reference server of this repository: `streams` at a time,
5 x streams requests of 100 tokens, first token after 50 ms, then one every 10 ms; and in an open
loop `rate` requests a second for 12 s, 20 tokens, one every 5 ms. What it says is held against the
server's own record, which begins when the kernel saw the request. Tools take turns within a round;
the table is the median of the rounds. With --lines every run is kept as it ends, and the table is
of all that are in the file: a long comparison may be done in parts, and --rounds 0 prints it again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import psutil

from nightbench.load.drive.host import HostUsage, read_host
from tests.benchmarks.fidelity_tools import TOOLS, Said, Tool, Work, environment_of
from tests.truth.reference import ReferenceServer

TTFT_MS, ITL_MS, TOKENS, WAVES = 50.0, 10.0, 100, 5
RATE_ITL_MS, RATE_TOKENS, RATE_SECONDS = 5.0, 20, 12
TIMEOUT_S = 600


@dataclass(frozen=True)
class Line:
    """One run of one tool, against the server's record."""

    tool: str
    load: str
    ttft_error_ms: float
    p99_ttft_error_ms: float
    tpot_error: float
    ideal: float
    cpu_s: float
    first_s: float  # from the start of the command to its first request
    elsewhere: float  # of the machine's processor time, the share neither tool nor server took


@dataclass(frozen=True)
class Spent:
    """What running a tool took. `began_ns`: CLOCK_MONOTONIC."""

    began_ns: int
    cpu_s: float
    elsewhere: float


def main() -> int:
    """Install, run in turns, print the table."""
    args = _arguments()
    tools = [TOOLS[name] for name in args.peers]
    pythons = {tool.name: environment_of(tool, args.home) for tool in tools}
    loads: list[dict[str, Any]] = [{"streams": streams} for streams in args.streams]
    loads += [{"rate": args.rate}] if args.rate else []
    lines = _read_lines(args.lines)
    for number in range(args.rounds):
        for load in loads:
            for tool in tools:
                line = _run_calmly(tool, pythons[tool.name], args, load)
                lines.append(line)
                print(f"round {number + 1}: {line}", flush=True)
                if args.lines:
                    with args.lines.open("a") as file:
                        file.write(json.dumps(asdict(line)) + "\n")
    print(as_markdown(medians(lines)))
    worst = max((line.elsewhere for line in lines), default=0)
    print(f"Something else took at most {worst:.0%} of the machine during a run.")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokenizer", type=Path, required=True, help="a model folder, for peers")
    parser.add_argument("--peers", type=_names, default=list(TOOLS), metavar="NAME[,NAME…]")
    parser.add_argument("--streams", type=_integers, default=[32, 128, 256, 512])
    parser.add_argument("--rate", type=float, default=400.0, help="of the open loop; 0: none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--calm",
        type=float,
        default=1.0,
        metavar="SHARE",
        help="run again, twice at most, where something else took more of the machine",
    )
    parser.add_argument("--home", type=Path, default=Path(".nightbench/fidelity"))
    parser.add_argument("--lines", type=Path, metavar="FILE.jsonl", help="add to these runs")
    return parser.parse_args()


def _read_lines(path: Path | None) -> list[Line]:
    if path is None or not path.exists():
        return []
    return [Line(**json.loads(line)) for line in path.read_text().splitlines()]


def _run_calmly(tool: Tool, python: Path, args: argparse.Namespace, load: dict[str, Any]) -> Line:
    """The calmest of up to three runs; the first that was calm enough."""
    lines: list[Line] = []
    while not lines or (lines[-1].elsewhere > args.calm and len(lines) < 3):
        lines.append(_run(tool, python, args.tokenizer, **load))
    return min(lines, key=lambda line: line.elsewhere)


def _run(
    tool: Tool,
    python: Path,
    tokenizer: Path,
    *,
    streams: int | None = None,
    rate: float | None = None,
) -> Line:
    """One run of one tool against a fresh server."""
    itl_ms, tokens = (ITL_MS, TOKENS) if streams else (RATE_ITL_MS, RATE_TOKENS)
    requests = WAVES * streams if streams else round(RATE_SECONDS * (rate or 0))
    with (
        ReferenceServer(ttft_ms=TTFT_MS, itl_ms=itl_ms) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        questions = Path(folder) / "questions.jsonl"
        _write_questions(questions, requests, tokens)
        url = server.endpoint.base_url.removesuffix("/v1")
        out = Path(folder) / "out"
        out.mkdir()
        work = Work(url, streams, rate, requests, tokens, tokenizer.absolute(), questions, out)
        spent = spend(tool.argv(python, work), out, server.pid)
        truth = [record for record in server.truth() if record["done"]]
        return _compare(tool, work, tool.read(work), truth, itl_ms=itl_ms, spent=spent)


def spend(argv: list[str], folder: Path, server: int | None = None) -> Spent:
    """Run a tool to its end, beside a server; the processor time it and its children took."""
    quiet = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "VLLM_NO_USAGE_STATS": "1"}
    environment = os.environ | quiet | {"VLLM_TARGET_DEVICE": "cpu"}
    if argv[0].endswith("aiperf"):
        environment.pop("HF_HUB_OFFLINE")  # with it, aiperf refuses a local tokenizer
    began_ns = time.perf_counter_ns()
    own, machine, serving = _own_s(), read_host(), _server_s(server)
    done = subprocess.run(
        argv,
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        said = f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
        raise SystemExit(f"{argv[0]} failed ({done.returncode}):\n{said}")
    cpu_s = _own_s() - own
    now = read_host()
    assert machine is not None
    assert now is not None
    use = HostUsage(machine, now)
    elsewhere_s = now.busy_s - machine.busy_s - cpu_s - (_server_s(server) - serving)
    return Spent(began_ns, cpu_s, max(0.0, elsewhere_s / use.capacity_s))


def _own_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _server_s(pid: int | None) -> float:
    times = psutil.Process(pid).cpu_times() if pid else None
    return times.user + times.system if times else 0.0


def _compare(
    tool: Tool,
    work: Work,
    said: Said,
    records: list[dict[str, Any]],
    *,
    itl_ms: float,
    spent: Spent,
) -> Line:
    truth = records[-work.requests :]  # some tools ask once before, to see that somebody answers
    if len(truth) != work.requests or any(r["max_tokens"] != work.tokens for r in truth):
        raise SystemExit(f"{tool.name} did other work than was asked: {len(truth)} requests whole")
    ttfts = sorted((record["first_ns"] - record["recv_ns"]) / 1e6 for record in truth)
    gaps = work.tokens - 1
    tpot_ms = fmean((record["last_ns"] - record["first_ns"]) / 1e6 / gaps for record in truth)
    begin = min(record["recv_ns"] for record in truth)
    span_ms = (max(record["last_ns"] for record in truth) - begin) / 1e6
    one_ms = TTFT_MS + gaps * itl_ms
    best_ms = WAVES * one_ms
    if work.rate:
        best_ms = (work.requests - 1) / work.rate * 1000 + one_ms
    return Line(
        tool=tool.name,
        load=f"{work.streams} streams" if work.streams else f"{work.rate:g} req/s",
        ttft_error_ms=said.mean_ttft_ms - fmean(ttfts),
        p99_ttft_error_ms=said.p99_ttft_ms - ttfts[round(0.99 * (len(ttfts) - 1))],
        tpot_error=said.mean_tpot_ms / tpot_ms - 1,
        ideal=best_ms / span_ms,
        cpu_s=spent.cpu_s,
        elsewhere=spent.elsewhere,
        first_s=(min(record["recv_ns"] for record in records) - spent.began_ns) / 1e9,
    )


def _write_questions(path: Path, count: int, tokens: int) -> None:
    """Records that every tool can read: evalscope takes `question`, guidellm `prompt`."""
    with path.open("w") as file:
        for number in range(count):
            text = f"Question {number}: what is the weather like in the city of the year {number}?"
            record = {"question": text, "prompt": text, "output_tokens_count": tokens}
            file.write(json.dumps(record) + "\n")


def medians(lines: Sequence[Line]) -> list[Line]:
    """One line per tool and load: the median of each number over the rounds."""
    found = []
    order = list(TOOLS)
    keys = {(line.load, line.tool) for line in lines}
    for load, tool in sorted(keys, key=lambda key: (*_size(key[0]), order.index(key[1]))):
        same = [asdict(line) for line in lines if (line.load, line.tool) == (load, tool)]
        numbers = [name for name in same[0] if name not in ("load", "tool")]
        found.append(
            Line(tool=tool, load=load, **{n: median(line[n] for line in same) for n in numbers})
        )
    return found


def _size(load: str) -> tuple[str, float]:
    number, _, unit = load.partition(" ")
    return ("" if unit == "streams" else unit, float(number))


def as_markdown(lines: Sequence[Line]) -> str:
    """The table for docs."""
    rows = [
        "| load | tool | mean TTFT error | p99 TTFT error | mean TPOT error | of ideal | CPU s "
        "| first request after |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*rows, *map(_as_row, lines)])


def _as_row(line: Line) -> str:
    return (
        f"| {line.load} | {TOOLS[line.tool].title} | {line.ttft_error_ms:+.2f} ms "
        f"| {line.p99_ttft_error_ms:+.2f} ms | {line.tpot_error:+.2%} | {line.ideal:.3f} "
        f"| {line.cpu_s:.1f} | {line.first_s:.1f} s |"
    )


def _names(text: str) -> list[str]:
    unknown = [name for name in text.split(",") if name not in TOOLS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown}: expected some of {', '.join(TOOLS)}")
    return text.split(",")


def _integers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


if __name__ == "__main__":
    started = time.monotonic()
    code = main()
    print(f"{time.monotonic() - started:.0f} s")
    sys.exit(code)

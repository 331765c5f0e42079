"""Hold prompts and scores against EvalScope, installed in an environment of its own.

    python3 -m venv /tmp/evalscope && /tmp/evalscope/bin/pip install evalscope==1.14.1
    python -m tests.benchmarks.evalscope_parity --evalscope /tmp/evalscope/bin/python

Compares, for every benchmark, the prompts made from records in the hub's own format, and the score
of each recorded reply in tests/unit/accuracy/golden (`replies.jsonl`, and the programs of
`programs.jsonl`, which both run). With `--data DIR` (folders iquiz, gsm8k, cmmlu in their hubs'
format) it asks `--base-url` every question there once, at 128 tokens, and scores those replies both
ways too. `--write-golden` stores what EvalScope says, for the unit tests, which need no EvalScope.
Prints the table of docs/benchmarks.md; exits with 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from nightbench.accuracy import benchmarks
from nightbench.accuracy.questions import prepare
from nightbench.suite.models import AccuracySpec
from tests.benchmarks.evalscope_peer import GOLDEN, EvalScope, Line
from tests.benchmarks.evalscope_real import real_questions
from tests.benchmarks.evalscope_replies import programs, recorded_replies
from tests.unit.accuracy.hub_records import FOLDERS, HubFolder


def main() -> int:
    args = _arguments()
    with EvalScope(args.evalscope) as peer:
        lines = [_made_up(folder, peer, args) for folder in FOLDERS]
        lines += recorded_replies(peer, args)
        lines += programs(peer, args)
        if args.data is not None:
            lines += [real_questions(name, peer, args) for name in ("iquiz", "gsm8k", "cmmlu")]
    _print(lines)
    return 0 if all(line.good for line in lines) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evalscope", required=True, type=Path, metavar="PYTHON")
    parser.add_argument("--data", type=Path, metavar="DIR")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--base-url", metavar="URL")
    parser.add_argument("--model", default="m")
    parser.add_argument("--api-key-env", metavar="NAME", help="variable that holds the API key")
    parser.add_argument(
        "--samples",
        type=Path,
        metavar="DIR",
        default=Path(tempfile.gettempdir()) / "nightbench-parity",
        help="real replies are kept here, and asked for once",
    )
    parser.add_argument("--write-golden", action="store_true")
    return parser.parse_args()


def _made_up(folder: HubFolder, peer: EvalScope, args: argparse.Namespace) -> Line:
    """The same records through both: are the prompts the same?"""
    with tempfile.TemporaryDirectory() as scratch:
        spec = AccuracySpec(
            benchmark=folder.benchmark,
            data=".",
            subsets=tuple(folder.asked),
            allow_code_execution=True,
        )
        prepared = prepare(benchmarks.find(folder.benchmark), spec, folder.write(Path(scratch)))
    ours = [question.prompt for question in prepared.questions]
    parts = [
        {
            "subset": subset,
            "records": records,
            "shots": folder.shots.get(subset, []),
            "replies": [[] for _ in records],
        }
        for subset, records in folder.asked.items()
    ]
    theirs = [entry["prompt"] for part in peer.answers(folder.benchmark, parts) for entry in part]
    if args.write_golden:
        _write_golden_prompts(folder.benchmark, theirs)
    same = sum(our == their for our, their in zip(ours, theirs, strict=True))
    return Line(folder.benchmark, "made-up records", prompts=len(theirs), same_prompts=same)


def _write_golden_prompts(name: str, prompts: list[str]) -> None:
    path = GOLDEN / "prompts.json"
    golden = json.loads(path.read_text()) if path.exists() else {}
    golden[name] = prompts
    path.write_text(json.dumps(golden, ensure_ascii=False, indent=1, sort_keys=True) + "\n")


def _print(lines: Sequence[Line]) -> None:
    print("| benchmark | what | prompts | the same | replies | same score | here | EvalScope |")
    print("|---|---|---|---|---|---|---|---|")
    for line in lines:
        shares = [
            "" if share is None else f"{share:.1%}"
            for share in (line.accuracy, line.evalscope_accuracy)
        ]
        counts = [line.prompts, line.same_prompts, line.replies, line.same_scores]
        cells = [line.benchmark, line.what, *(str(count or "") for count in counts), *shares]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    sys.exit(main())

"""`nightbench score`: score replies generated elsewhere."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightbench.cli.result_file import result_file
from nightbench.errors import BadInput

if TYPE_CHECKING:
    from nightbench.accuracy.benchmark import Benchmark
    from nightbench.accuracy.scoring.rescoring import ScoredReplies


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench score`."""
    parser = subparsers.add_parser(
        "score", help="score replies generated elsewhere", description=__doc__
    )
    parser.add_argument("--benchmark", required=True, metavar="NAME", help="iquiz, gsm8k, …")
    parser.add_argument("--subset", metavar="NAME", help="for subsets that are scored differently")
    parser.add_argument(
        "--replies",
        required=True,
        type=Path,
        metavar="FILE",
        help="JSONL with reply, gold and (multiple choice) choices",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the scores to this file")


def run(args: argparse.Namespace) -> int:
    """Score, print the summary, write the file."""
    from nightbench.accuracy import benchmarks
    from nightbench.accuracy.scoring.rescoring import score_replies
    from nightbench.data.loading import read_records

    benchmark = benchmarks.find(args.benchmark)
    names = [subset.name for subset in benchmark.subsets]
    if args.subset is not None and args.subset not in names:
        raise BadInput(
            f"{benchmark.name} has no subset named {args.subset!r}",
            hint=f"There are {', '.join(names)}.",
        )
    with result_file(args.json) as write:
        scored = score_replies(benchmark, read_records(args.replies), args.subset)
        try:
            write(scores_json(benchmark, scored))
        finally:
            _print_summary(benchmark, scored)
    return 0


def scores_json(benchmark: Benchmark, scored: ScoredReplies) -> dict[str, Any]:
    """What `--json` holds: the summary, and one entry under `samples` per reply, in order."""
    n = len(scored.scores)
    low, high = scored.interval
    return {
        "benchmark": benchmark.name,
        "accuracy": scored.accuracy,
        "ci_low": low,
        "ci_high": high,
        "accuracy_strict": scored.num_correct_strict / n if n else 0.0,
        "num_samples": n,
        "num_correct": scored.num_correct,
        "disagreements": scored.disagreements,
        "extraction_failed": scored.extraction_failed,
        "samples": [
            asdict(score) | {"extraction_failed": score.extraction_failed}
            for score in scored.scores
        ],
    }


def _print_summary(benchmark: Benchmark, scored: ScoredReplies) -> None:
    from rich.console import Console

    low, high = scored.interval
    n = len(scored.scores)
    console = Console(highlight=False)
    console.print(
        f"[bold]{benchmark.name}[/bold]  {scored.accuracy:.1%} right "
        f"({low * 100:.0f}–{high * 100:.0f}) of {n} replies"
    )
    console.print(
        f"  strictly {scored.num_correct_strict / n if n else 0:.1%}, "
        f"{scored.disagreements} scored differently, {scored.extraction_failed} without an answer"
    )

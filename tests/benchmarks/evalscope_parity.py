"""Hold prompts and scores against EvalScope, installed in an environment of its own.

    python3 -m venv /tmp/evalscope && /tmp/evalscope/bin/pip install evalscope
    python -m tests.benchmarks.evalscope_parity --evalscope /tmp/evalscope/bin/python

Compares, for every benchmark, the prompts made from records in the hub's own format, and the score
of each recorded reply in tests/unit/accuracy/golden/replies.jsonl. With `--data DIR` (folders
iquiz, gsm8k, cmmlu in their hubs' format) it asks `--base-url` every question there once, at 128
tokens, and scores those replies both ways too. `--write-golden` stores what EvalScope says, for the
unit tests, which need no EvalScope.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nightbench.accuracy import benchmarks
from nightbench.accuracy.evaluate import evaluate
from nightbench.accuracy.questions import prepare
from nightbench.accuracy.rescoring import score_replies
from nightbench.data import read_records
from nightbench.endpoint import Endpoint
from nightbench.records import AccuracySample
from nightbench.suite import AccuracySpec, Generation
from tests.unit.accuracy.hub_records import EVALSCOPE_NAMES, FOLDERS, HubFolder

GOLDEN = Path(__file__).parents[1] / "unit" / "accuracy" / "golden"
SIDE = Path(__file__).with_name("evalscope_side.py")


@dataclass
class Line:
    """One line of the table."""

    benchmark: str
    what: str
    prompts: int = 0
    same_prompts: int = 0
    replies: int = 0
    same_scores: int = 0
    accuracy: float | None = None
    evalscope_accuracy: float | None = None

    @property
    def good(self) -> bool:
        return self.prompts == self.same_prompts and self.replies == self.same_scores


def main() -> int:
    args = _arguments()
    lines = [_made_up(folder, args) for folder in FOLDERS]
    lines += _recorded(args)
    if args.data is not None:
        lines += [_real(name, args) for name in ("iquiz", "gsm8k", "cmmlu")]
    _print(lines)
    return 0 if all(line.good for line in lines) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evalscope", required=True, type=Path, metavar="PYTHON")
    parser.add_argument("--data", type=Path, metavar="DIR")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--base-url", metavar="URL")
    parser.add_argument("--model", default="m")
    parser.add_argument("--samples", type=Path, metavar="DIR", help="keep and reuse replies here")
    parser.add_argument("--write-golden", action="store_true")
    return parser.parse_args()


def _made_up(folder: HubFolder, args: argparse.Namespace) -> Line:
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
    theirs = [
        entry["prompt"] for part in _evalscope(folder.benchmark, parts, args) for entry in part
    ]
    if args.write_golden:
        _write_golden_prompts(folder.benchmark, theirs)
    same = sum(our == their for our, their in zip(ours, theirs, strict=True))
    return Line(folder.benchmark, "made-up records", prompts=len(theirs), same_prompts=same)


def _recorded(args: argparse.Namespace) -> list[Line]:
    """The recorded messy replies: does each get the same score?"""
    path = GOLDEN / "replies.jsonl"
    rows = read_records(path)
    lines, written = [], []
    for name in sorted({row["benchmark"] for row in rows}):
        mine = [dict(row) for row in rows if row["benchmark"] == name]
        scored = score_replies(benchmarks.find(name), mine).scores
        theirs = _scores_of(name, mine, args)
        same = sum(
            our.correct == (their["score"] == 1.0)
            and (our.extracted or "") == (their["extracted"] or "")
            for our, their in zip(scored, theirs, strict=True)
        )
        _show_differences(name, mine, scored, theirs)
        lines.append(
            Line(
                name,
                "messy replies",
                replies=len(mine),
                same_scores=same,
                accuracy=sum(our.correct for our in scored) / len(mine),
                evalscope_accuracy=sum(their["score"] for their in theirs) / len(mine),
            )
        )
        written += [
            row | {"score": their["score"], "extracted": their["extracted"]}
            for row, their in zip(mine, theirs, strict=True)
        ]
    if args.write_golden:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in written)
        path.write_text(text, encoding="utf-8")
    return lines


def _scores_of(
    name: str, rows: Sequence[dict[str, Any]], args: argparse.Namespace
) -> list[dict[str, Any]]:
    records = [_as_record(name, row) for row in rows]
    part = {
        "subset": "main",
        "records": records,
        "shots": [],
        "replies": [[row["reply"]] for row in rows],
    }
    (answers,) = _evalscope(name, [part], args)
    return [entry["scores"][0] for entry in answers]


def _as_record(name: str, row: dict[str, Any]) -> dict[str, Any]:
    if name == "gsm8k":
        return {"question": "?", "answer": f"#### {row['gold']}"}
    if name == "mmlu":
        return {
            "question": "?",
            "choices": row["choices"],
            "answer": "ABCD".index(row["gold"]),
            "subject": "main",
        }
    return {"question": "?", "choices": row["choices"], "answer": row["gold"], "level": 1}


def _real(name: str, args: argparse.Namespace) -> Line:
    """Real questions, asked once, the replies scored by both."""
    spec = AccuracySpec(
        benchmark=name,
        data=str(args.data.absolute() / name),
        limit=args.limit,
        subsets=_subsets_there(name, args.data / name),
        max_concurrency=8,
        generation=Generation(temperature=0, max_tokens=128),
    )
    samples = _asked_once(name, spec, args)
    prepared = prepare(benchmarks.find(name), spec, Path())
    questions = {question.sample_id: question for question in prepared.questions}
    shots = _shots(name, args.data / name)
    parts = []
    for subset in dict.fromkeys(question.subset for question in prepared.questions):
        of_subset = [question for question in prepared.questions if question.subset == subset]
        parts.append(
            {
                "subset": subset,
                "records": [_real_record(name, q) for q in of_subset],
                "shots": shots,
                "replies": [[samples[q.sample_id].reply or ""] for q in of_subset],
            }
        )
    entries = [entry for part in _evalscope(name, parts, args) for entry in part]
    ours = [samples[question.sample_id] for question in prepared.questions]
    theirs = [entry["scores"][0]["score"] for entry in entries]
    return Line(
        name,
        "real questions",
        prompts=len(entries),
        same_prompts=sum(
            questions[our.sample_id].prompt == entry["prompt"]
            for our, entry in zip(ours, entries, strict=True)
        ),
        replies=len(entries),
        same_scores=sum(
            our.correct == (their == 1.0) for our, their in zip(ours, theirs, strict=True)
        ),
        accuracy=sum(our.correct for our in ours) / len(ours),
        evalscope_accuracy=sum(theirs) / len(theirs),
    )


def _real_record(name: str, prepared: Any) -> dict[str, Any]:
    question = prepared.question
    if name == "gsm8k":
        return {"question": question.text, "answer": f"{question.solution}\n#### {question.gold}"}
    if name == "cmmlu":
        letters = "ABCD"
        return {
            "question": question.text,
            "choices": [f"({letters[n]}) {c}" for n, c in enumerate(question.choices)],
            "answer": f"({question.gold})",
            "category": prepared.subset,
        }
    return {
        "question": question.text,
        "choices": list(question.choices),
        "answer": question.gold,
        "level": 1,
    }


def _subsets_there(name: str, folder: Path) -> tuple[str, ...] | None:
    if name != "cmmlu":
        return None
    return tuple(sorted(path.stem for path in (folder / "test").glob("*.csv")))


def _shots(name: str, folder: Path) -> list[Any]:
    return list(read_records(folder / "train.jsonl"))[:4] if name == "gsm8k" else []


def _asked_once(
    name: str, spec: AccuracySpec, args: argparse.Namespace
) -> dict[str, AccuracySample]:
    samples: list[AccuracySample] = []
    kept = args.samples / f"{name}.jsonl" if args.samples else None
    before: list[AccuracySample] = []
    if kept is not None and kept.exists():
        before = [AccuracySample(**row) for row in read_records(kept)]
    evaluate(
        spec,
        Endpoint(base_url=args.base_url, model=args.model),
        base_dir=Path(),
        on_sample=samples.append,
        already=before,
        on_progress=lambda step: print(
            f"\r{name} {step.done}/{step.total}", end="", file=sys.stderr
        ),
    )
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        rows = [
            {key: getattr(s, key) for key in AccuracySample.__dataclass_fields__}
            for s in [*before, *samples]
        ]
        kept.write_text("".join(json.dumps(row, default=str) + "\n" for row in rows))
    return {sample.sample_id: sample for sample in [*before, *samples]}


def _evalscope(
    name: str, parts: list[dict[str, Any]], args: argparse.Namespace
) -> list[list[dict[str, Any]]]:
    with tempfile.TemporaryDirectory() as scratch:
        asked, answered = Path(scratch) / "asked.json", Path(scratch) / "answered.json"
        asked.write_text(json.dumps({"benchmark": EVALSCOPE_NAMES.get(name, name), "parts": parts}))
        done = subprocess.run(
            [args.evalscope, SIDE, asked, answered],
            check=False,
            cwd=scratch,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise SystemExit(f"EvalScope failed on {name}:\n{done.stderr[-3000:]}")
        answers: list[list[dict[str, Any]]] = json.loads(answered.read_text())
    return answers


def _write_golden_prompts(name: str, prompts: list[str]) -> None:
    path = GOLDEN / "prompts.json"
    golden = json.loads(path.read_text()) if path.exists() else {}
    golden[name] = prompts
    path.write_text(json.dumps(golden, ensure_ascii=False, indent=1, sort_keys=True) + "\n")


def _show_differences(
    name: str, rows: Sequence[dict[str, Any]], ours: Sequence[Any], theirs: Sequence[Any]
) -> None:
    for row, our, their in zip(rows, ours, theirs, strict=True):
        if our.correct != (their["score"] == 1.0) or (our.extracted or "") != their["extracted"]:
            print(
                f"{name}: {row['reply'][:100]!r} gold {row['gold']}: "
                f"{our.extracted!r} here, {their} there",
                file=sys.stderr,
            )


def _print(lines: Sequence[Line]) -> None:
    out = csv.writer(sys.stdout, delimiter="|", lineterminator="\n")
    out.writerow(
        ["benchmark", "what", "prompts", "same", "replies", "same score", "ours", "EvalScope"]
    )
    for line in lines:
        shown = [
            "" if share is None else f"{share:.1%}"
            for share in (line.accuracy, line.evalscope_accuracy)
        ]
        out.writerow(
            [
                line.benchmark,
                line.what,
                line.prompts,
                line.same_prompts,
                line.replies,
                line.same_scores,
                *shown,
            ]
        )


if __name__ == "__main__":
    sys.exit(main())

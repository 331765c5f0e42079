"""Recorded replies, messy and hand-made: EvalScope's score of each held against ours."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nightbench.accuracy import benchmarks
from nightbench.accuracy.benchmark import Score
from nightbench.accuracy.scoring.programs import code_scorer, humaneval_record
from nightbench.accuracy.scoring.rescoring import score_replies
from nightbench.data.loading import read_records
from tests.benchmarks.evalscope_peer import GOLDEN, EvalScope, Line


def recorded_replies(peer: EvalScope, args: argparse.Namespace) -> list[Line]:
    """The messy replies: does each get the same score?"""
    path = GOLDEN / "replies.jsonl"
    rows = read_records(path)
    lines, written = [], []
    for name in sorted({row["benchmark"] for row in rows}):
        mine = [dict(row) for row in rows if row["benchmark"] == name]
        scored = score_replies(benchmarks.find(name), mine).scores
        theirs = _scores_of(name, [_as_record(name, row) for row in mine], mine, peer)
        lines.append(_line(name, "messy replies", mine, scored, theirs))
        written += _with_scores(mine, theirs)
    if args.write_golden:
        _write(path, written)
    return lines


def programs(peer: EvalScope, args: argparse.Namespace) -> list[Line]:
    """HumanEval: replies that are run, by EvalScope's own process and by our sandbox."""
    path = GOLDEN / "programs.jsonl"
    rows = [dict(row) for row in read_records(path)]
    with code_scorer() as score:
        scored = [score(humaneval_record(row), row["reply"]) for row in rows]
    theirs = _scores_of("humaneval", rows, rows, peer)
    if args.write_golden:
        _write(path, _with_scores(rows, theirs))
    return [_line("humaneval", "programs, run", rows, scored, theirs)]


def _scores_of(
    name: str,
    records: Sequence[dict[str, Any]],
    rows: Sequence[dict[str, Any]],
    peer: EvalScope,
) -> list[dict[str, Any]]:
    part = {
        "subset": "main",
        "records": records,
        "shots": [],
        "replies": [[row["reply"]] for row in rows],
    }
    (answers,) = peer.answers(name, [part])
    return [entry["scores"][0] for entry in answers]


def _line(
    name: str,
    what: str,
    rows: Sequence[dict[str, Any]],
    ours: Sequence[Score],
    theirs: Sequence[dict[str, Any]],
) -> Line:
    differing = [
        (row, our, their)
        for row, our, their in zip(rows, ours, theirs, strict=True)
        if our.correct != (their["score"] == 1.0)
        or (our.extracted or "") != (their["extracted"] or "")
    ]
    for row, our, their in differing:
        print(
            f"{name}: {row['reply'][:200]!r}: {our.correct}, {our.extracted!r} here, {their} there",
            file=sys.stderr,
        )
    return Line(
        name,
        what,
        replies=len(rows),
        same_scores=len(rows) - len(differing),
        accuracy=sum(our.correct for our in ours) / len(rows),
        evalscope_accuracy=sum(their["score"] for their in theirs) / len(rows),
    )


def _with_scores(
    rows: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    return [row | their for row, their in zip(rows, theirs, strict=True)]


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")


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

"""Real questions, asked once of a real model, their prompts and replies held against EvalScope."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from nightbench.accuracy import benchmarks
from nightbench.accuracy.evaluate import evaluate
from nightbench.accuracy.questions import prepare
from nightbench.accuracy.sample_files import ReplySettings, SampleFile, read_samples
from nightbench.data.loading import read_records
from nightbench.endpoint import Endpoint
from nightbench.records import AccuracySample
from nightbench.suite.models import AccuracySpec, Generation
from tests.benchmarks.evalscope_peer import EvalScope, Line


def real_questions(name: str, peer: EvalScope, args: argparse.Namespace) -> Line:
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
    entries = [entry for part in peer.answers(name, parts) for entry in part]
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
    key = os.environ[args.api_key_env] if args.api_key_env else ""
    path = args.samples / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    asked_as = ReplySettings.of(spec, args.model)
    with SampleFile(path, asked_as) as file:
        evaluate(
            spec,
            Endpoint(base_url=args.base_url, model=args.model, api_key=key),
            base_dir=Path(),
            on_sample=file.add,
            already=read_samples(path, asked_as) if path.exists() else (),
            on_plan=file.begin,
            on_progress=lambda step: print(f"{name} {step.done}/{step.total}", file=sys.stderr),
        )
    return {sample.sample_id: sample for sample in read_samples(path)}

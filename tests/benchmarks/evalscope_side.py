"""Run by the Python of an environment that has EvalScope: its prompts and its scores.

Each line of stdin is a JSON object: `benchmark`, and a list `parts` of `subset`, `records`, `shots`
(in EvalScope's own record format) and `replies` (per record, a list). Each is answered by a line:
per part and record, EvalScope's `prompt`, and its `scores` of the replies.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from typing import Any

from evalscope.api.dataset import MemoryDataset
from evalscope.api.dataset.dataset import DatasetDict
from evalscope.api.evaluator import TaskState
from evalscope.api.model import ModelOutput
from evalscope.api.registry import get_benchmark
from evalscope.config import TaskConfig


def main() -> None:
    # HumanEval's children are forked, not spawned: the same, and none imports EvalScope again.
    fork = multiprocessing.get_context("fork")
    multiprocessing.get_context = lambda method=None: fork
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what EvalScope prints is no answer
    for line in sys.stdin:
        asked = json.loads(line)
        name = asked["benchmark"]
        adapter = get_benchmark(name, TaskConfig(model="none", datasets=[name]))
        answers.write(json.dumps([_part(adapter, part) for part in asked["parts"]]) + "\n")
        answers.flush()


def _part(adapter: Any, part: dict[str, Any]) -> list[dict[str, Any]]:
    with adapter._temporary_attribute("current_subset_name", part["subset"]):
        samples = [adapter.record_to_sample(record) for record in part["records"]]
        shots = [adapter.record_to_sample(record) for record in part["shots"]]
    dataset = MemoryDataset(samples)
    if adapter.shuffle_choices:
        dataset.shuffle_choices(seed=adapter.seed)
    adapter.fewshot_dataset = DatasetDict({part["subset"]: MemoryDataset(shots)}) if shots else None
    adapter.few_shot_num = len(shots)
    answers = []
    for sample, replies in zip(dataset.samples, part["replies"], strict=True):
        if isinstance(sample.input, str):
            prompt = adapter.process_sample_input(sample, subset=part["subset"])
        else:
            prompt = sample.input[0].text
        answers.append(
            {"prompt": prompt, "scores": [_score(adapter, sample, reply) for reply in replies]}
        )
    return answers


def _score(adapter: Any, sample: Any, reply: str) -> dict[str, Any]:
    state = TaskState(
        model="none",
        sample=sample,
        output=ModelOutput.from_content("none", reply),
        completed=True,
    )
    score = adapter.calculate_metrics(state).score
    return {"score": float(score.main_value or 0.0), "extracted": score.extracted_prediction}


if __name__ == "__main__":
    main()

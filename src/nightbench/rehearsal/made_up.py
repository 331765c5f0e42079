"""Records in each hub's own format, made up: a benchmark is rehearsed where no hub is reached."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nightbench.accuracy.benchmark import Benchmark

Row = dict[str, Any]

_LETTERED: Row = {
    "id": 1,
    "question": "2的3次方是多少？",
    "A": "8",
    "B": "6",
    "C": "16",
    "D": "5",
    "answer": "A",
    "explanation": "2乘2乘2是8。",
}
_RECORDS: dict[str, Row] = {
    "arc": {
        "id": "made_up",
        "question": "Which of these floats in water?",
        "choices": {"text": ["a stone", "a cork", "a nail"], "label": ["A", "B", "C"]},
        "answerKey": "B",
    },
    "ceval": _LETTERED,
    "cmmlu": _LETTERED,
    "gsm8k": {
        "question": "A crate holds 3 jars, and each jar 4 plums. How many plums?",
        "answer": "Each jar holds 4 plums.\n3*4=<<3*4=12>>12 plums.\n#### 12",
    },
    "hellaswag": {
        "ind": 1,
        "activity_label": "Baking bread",
        "ctx_a": "A cook kneads the dough.",
        "ctx_b": "the cook",
        "endings": ["bakes it.", "sings to it.", "reads to it.", "leaves."],
        "label": "0",
    },
    "humaneval": {
        "task_id": "MadeUp/1",
        "prompt": 'def add(a: int, b: int) -> int:\n    """The sum of a and b."""\n',
        "entry_point": "add",
        "canonical_solution": "    return a + b\n",
        "test": "def check(candidate):\n    assert candidate(2, 3) == 5\n",
    },
    "iquiz": {
        "question": "什么东西越洗越脏？",
        "choices": ["水", "衣服", "碗"],
        "answer": "A",
        "level": 1,
    },
    "math": {
        "problem": "What is $3^2$?",
        "level": "Level 1",
        "type": "Algebra",
        "solution": "We have $3 \\cdot 3 = \\boxed{9}$.",
    },
    "math_500": {
        "problem": "Compute $2 + 3$.",
        "solution": "It is $\\boxed{5}$.",
        "answer": "5",
        "level": 1,
        "subject": "Prealgebra",
        "unique_id": "test/prealgebra/1.json",
    },
    "mmlu": {
        "question": "What is 2 plus 2?",
        "subject": "abstract_algebra",
        "choices": ["3", "4", "5", "6"],
        "answer": 1,
    },
    "truthful_qa": {
        "question": "What happens if you sneeze?",
        "mc1_targets": {"choices": ["Nothing in particular", "It rains"], "labels": [1, 0]},
    },
}


def write_records(benchmark: Benchmark, folder: Path) -> Path | None:
    """A folder with a question of the benchmark's first subset, and its examples; None for a
    benchmark whose format is not known here."""
    row = _RECORDS.get(benchmark.name)
    if row is None:
        return None
    subset = benchmark.subsets[0]
    place = folder / benchmark.name / (subset.config or subset.name)
    place.mkdir(parents=True, exist_ok=True)
    line = json.dumps(row, ensure_ascii=False) + "\n"
    (place / f"{benchmark.split}.jsonl").write_text(line, encoding="utf-8")
    if benchmark.few_shot:
        examples = "".join(_another(row, n) for n in range(1, benchmark.few_shot + 1))
        (place / f"{benchmark.shot_split}.jsonl").write_text(examples, encoding="utf-8")
    return folder / benchmark.name


def _another(row: Row, number: int) -> str:
    """The record as an example: what is asked is not shown before."""
    name = "problem" if "problem" in row else "question"
    return json.dumps(row | {name: f"{row[name]} ({number})"}, ensure_ascii=False) + "\n"


def write_prompts(count: int, path: Path) -> Path:
    """A file of prompts, one a line, no two alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"Name {n} rivers of Europe.\n" for n in range(2, count + 2)))
    return path

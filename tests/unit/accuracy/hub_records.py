"""Records in each hub's own format, made up here, and the files that hold them."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

Row = dict[str, Any]


@dataclass(frozen=True)
class HubFolder:
    """A hub's folder for one benchmark: `files` by path. `asked` and `shots` by subset are what
    EvalScope would read from it, in its own record format."""

    benchmark: str
    files: dict[str, list[Row]]
    asked: dict[str, list[Row]]
    shots: dict[str, list[Row]] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Write the files below `folder`."""
        for name, rows in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, rows)
        return folder


def _write(path: Path, rows: list[Row]) -> None:
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def _lettered(n: int, prefix: str) -> Row:
    return {
        "id": n,
        "question": f"{prefix}第{n}题，2的{n}次方是多少？",
        "A": str(2**n),
        "B": str(2 * n),
        "C": str(n * n + 7),
        "D": "以上都不对 {x}",
        "answer": "A",
    }


def _ceval(n: int, *, explained: bool) -> Row:
    return _lettered(n, "算术") | ({"explanation": f"2连乘{n}次。"} if explained else {})


def _cmmlu_csv(n: int) -> Row:
    row = _lettered(n, "农学")
    titles = {"question": "Question", "answer": "Answer"}
    return {"": n} | {titles.get(key, key): value for key, value in row.items() if key != "id"}


def _cmmlu_evalscope(n: int, subject: str) -> Row:
    row = _lettered(n, "农学")
    return {
        "question": row["question"],
        "choices": [f"({letter}) {row[letter]}" for letter in "ABCD"],
        "answer": f"({row['answer']})",
        "category": subject,
    }


def _mmlu(n: int, subject: str) -> Row:
    return {
        "question": f"What is {n} plus {n}? ({subject})",
        "subject": subject,
        "choices": [str(n), str(2 * n), str(3 * n), "none"],
        "answer": 1,
    }


def _gsm8k(n: int) -> Row:
    return {
        "question": f"A crate holds {n} jars, and each jar {n + 1} plums.  How many plums?",
        "answer": f"Each jar holds {n + 1} plums.\n{n}*{n + 1}=<<{n}*{n + 1}={n * (n + 1)}>>"
        f"{n * (n + 1)} plums.\n#### {n * (n + 1)}",
    }


def _arc(n: int, *, numbered: bool) -> Row:
    return {
        "id": f"made_up_{n}",
        "question": f"Which of these floats in water, case {n}?",
        "choices": {
            "text": ["a stone", "a cork", "a nail"],
            "label": ["1", "2", "3"] if numbered else ["A", "B", "C"],
        },
        "answerKey": "2" if numbered else "B",
    }


def _hellaswag(n: int) -> Row:
    return {
        "ind": n,
        "activity_label": "Baking bread",
        "ctx_a": "[header] How to bake [title] Mix the flour. A cook kneads the dough.",
        "ctx_b": "the cook",
        "endings": [
            " puts it  in the oven.",
            "throws it at the [step] moon.",
            "[title] sings to it.",
            "reads it a letter.",
        ],
        "label": str(n % 4),
    }


def _truthful(n: int) -> Row:
    return {
        "question": f"What happens if you sneeze {n} times?",
        "mc1_targets": {
            "choices": ["Nothing in particular", "You get a wish", "Your heart stops", "It rains"],
            "labels": [1, 0, 0, 0],
        },
    }


def _math_500(n: int) -> Row:
    return {
        "problem": f"Compute $\\frac{{{n}}}{{2}} + {n}$.",
        "solution": f"It is $\\boxed{{\\frac{{{3 * n}}}{{2}}}}$.",
        "answer": f"\\frac{{{3 * n}}}{{2}}",
        "level": 1 + n % 5,
        "subject": "Prealgebra",
        "unique_id": f"test/prealgebra/{n}.json",
    }


def _math(n: int, kind: str) -> Row:
    return {
        "problem": f"What is ${n}^2$? ({kind})",
        "level": f"Level {1 + n % 5}",
        "type": kind.capitalize(),
        "solution": f"We have ${n} \\cdot {n} = \\boxed{{{n * n}}}$.",
    }


def _humaneval(n: int) -> Row:
    return {
        "task_id": f"MadeUp/{n}",
        "prompt": f'def add_{n}(a: int, b: int) -> int:\n    """The sum of a and b."""\n',
        "entry_point": f"add_{n}",
        "canonical_solution": "    return a + b\n",
        "test": "def check(candidate):\n    assert candidate(2, 3) == 5\n",
    }


def _iquiz(n: int) -> Row:
    return {
        "question": f"第{n}个谜：什么东西越洗越脏？",
        "choices": ["水", "衣服", "碗"],
        "answer": "A",
        "level": 1,
    }


_TYPES = [
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
]
_MATH_TEST = {kind: [_math(n, kind) for n in range(5)] for kind in _TYPES}
_MATH_TRAIN = {kind: [_math(n, kind) for n in range(10, 15)] for kind in _TYPES}


def _of_level(rows: dict[str, list[Row]], level: str) -> list[Row]:
    return [row for kind in _TYPES for row in rows[kind] if row["level"] == level]


FOLDERS = (
    HubFolder(
        "iquiz",
        {f"{s}.jsonl": [_iquiz(n) for n in range(3)] for s in ("IQ", "EQ")},
        {s: [_iquiz(n) for n in range(3)] for s in ("IQ", "EQ")},
    ),
    HubFolder(
        "ceval",
        {
            "logic/val-00000-of-00001.parquet": [_ceval(n, explained=False) for n in range(2)],
            "logic/dev-00000-of-00001.parquet": [_ceval(n, explained=True) for n in range(5, 11)],
            "val/law_val.csv": [_ceval(n, explained=False) for n in range(2)],
            "dev/law_dev.csv": [_ceval(n, explained=True) for n in range(5, 11)],
        },
        {s: [_ceval(n, explained=False) for n in range(2)] for s in ("logic", "law")},
        {s: [_ceval(n, explained=True) for n in range(5, 10)] for s in ("logic", "law")},
    ),
    HubFolder(
        "cmmlu",
        {
            "test/agronomy.csv": [_cmmlu_csv(n) for n in range(3)],
            "anatomy/test-00000-of-00001.parquet": [_lettered(n, "农学") for n in range(3)],
            "test.jsonl": [_cmmlu_evalscope(n, "arts") for n in range(3)],
        },
        {s: [_cmmlu_evalscope(n, s) for n in range(3)] for s in ("agronomy", "anatomy", "arts")},
    ),
    HubFolder(
        "mmlu",
        {
            "all/test-00000-of-00001.parquet": [
                _mmlu(n, s) for s in ("anatomy", "virology") for n in range(2)
            ],
            "all/dev-00000-of-00001.parquet": [
                _mmlu(n, s) for s in ("anatomy", "virology") for n in range(5, 10)
            ],
            "astronomy/test-00000-of-00001.parquet": [_mmlu(n, "astronomy") for n in range(2)],
            "astronomy/dev-00000-of-00001.parquet": [_mmlu(n, "astronomy") for n in range(5, 10)],
        },
        {s: [_mmlu(n, s) for n in range(2)] for s in ("anatomy", "virology", "astronomy")},
        {s: [_mmlu(n, s) for n in range(5, 10)] for s in ("anatomy", "virology", "astronomy")},
    ),
    HubFolder(
        "gsm8k",
        {
            "main/test-00000-of-00001.parquet": [_gsm8k(n) for n in range(3)],
            "main/train-00000-of-00001.parquet": [_gsm8k(n) for n in range(5, 12)],
            "socratic/test-00000-of-00001.parquet": [_gsm8k(n) for n in range(20, 23)],
        },
        {"main": [_gsm8k(n) for n in range(3)]},
        {"main": [_gsm8k(n) for n in range(5, 9)]},
    ),
    HubFolder(
        "arc",
        {
            "ARC-Easy/test-00000-of-00001.parquet": [_arc(n, numbered=False) for n in range(2)],
            "ARC-Challenge/test-00000-of-00001.parquet": [_arc(n, numbered=True) for n in range(2)],
        },
        {
            "ARC-Easy": [_arc(n, numbered=False) for n in range(2)],
            "ARC-Challenge": [_arc(n, numbered=True) for n in range(2)],
        },
    ),
    HubFolder(
        "hellaswag",
        {"data/validation-00000-of-00001.parquet": [_hellaswag(n) for n in range(4)]},
        {"default": [_hellaswag(n) for n in range(4)]},
    ),
    HubFolder(
        "truthful_qa",
        {"multiple_choice/validation-00000-of-00001.parquet": [_truthful(n) for n in range(6)]},
        {"multiple_choice": [_truthful(n) for n in range(6)]},
    ),
    HubFolder(
        "math_500",
        {"test.jsonl": [_math_500(n) for n in range(10)]},
        {
            f"Level {level}": [_math_500(n) for n in range(10) if n % 5 + 1 == level]
            for level in range(1, 6)
        },
    ),
    HubFolder(
        "math",
        {f"{kind}/test-00000-of-00001.parquet": _MATH_TEST[kind] for kind in _TYPES}
        | {f"{kind}/train-00000-of-00001.parquet": _MATH_TRAIN[kind] for kind in _TYPES},
        {f"Level {k}": _of_level(_MATH_TEST, f"Level {k}") for k in range(1, 6)},
        {f"Level {k}": _of_level(_MATH_TRAIN, f"Level {k}")[:4] for k in range(1, 6)},
    ),
    HubFolder(
        "humaneval",
        {"openai_humaneval/test-00000-of-00001.parquet": [_humaneval(n) for n in range(2)]},
        {"openai_humaneval": [_humaneval(n) for n in range(2)]},
    ),
    HubFolder(
        "mcq",
        {"default_val.csv": [_lettered(n, "自己的") for n in range(2)]},
        {"default": [_lettered(n, "自己的") for n in range(2)]},
    ),
)

EVALSCOPE_NAMES = {"math": "competition_math", "mcq": "general_mcq"}

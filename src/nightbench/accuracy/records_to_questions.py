"""The record formats of the hubs, and of people's own files."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence

from nightbench.accuracy.benchmark import Question
from nightbench.accuracy.templates import label
from nightbench.data.loading import Record

_SHUFFLE_SEED = 42  # EvalScope's default


def listed_choices(record: Record) -> Question:
    """`question`, `choices` (a list) and `answer` (a label): IQuiz."""
    return Question(
        text=str(record["question"]),
        choices=tuple(str(choice) for choice in record["choices"]),
        gold=str(record["answer"]).strip(),
    )


def indexed_choices(record: Record) -> Question:
    """`question`, `choices` (a list) and `answer` (its index): MMLU."""
    return Question(
        text=str(record["question"]),
        choices=tuple(str(choice) for choice in record["choices"]),
        gold=label(int(record["answer"])),
    )


def lettered_choices(record: Record) -> Question:
    """`question`, `A` to `D` (or further) and `answer`, in any case: C-Eval, people's own files."""
    fields = {key.lower(): value for key, value in record.items()}
    choices: list[str] = []
    while (letter := label(len(choices)).lower()) in fields and fields[letter] not in (None, ""):
        choices.append(str(fields[letter]))
    if len(choices) < 2:
        raise ValueError("expected at least the choices A and B")
    return Question(
        text=str(_field(fields, "question")),
        choices=tuple(choices),
        gold=str(_field(fields, "answer")).strip(),
        solution=str(fields.get("explanation") or ""),
    )


def own_choices(record: Record) -> Question:
    """People's own multiple choice: with `choices` as a list, or with A, B, …"""
    return listed_choices(record) if "choices" in record else lettered_choices(record)


def cmmlu_record(record: Record) -> Question:
    """CMMLU: `Question`, `A` to `D`, `Answer`; or ModelScope's `(A) …` lists."""
    if "choices" not in record:
        return lettered_choices(record)
    return Question(
        text=str(record["question"]),
        choices=tuple(str(choice)[3:].strip() for choice in record["choices"]),
        gold=str(record["answer"]).strip("() "),
    )


def arc_record(record: Record) -> Question:
    """ARC: `choices.text`, and an `answerKey` that is a letter or a number."""
    key = str(record["answerKey"])
    return Question(
        text=str(record["question"]),
        choices=tuple(str(choice) for choice in record["choices"]["text"]),
        gold=label(int(key) - 1) if key.isdigit() else key,
    )


def hellaswag_record(record: Record) -> Question:
    """HellaSwag: a context in two parts and four endings, cleaned as EvalScope does."""
    context = f"{record['ctx_a']} {str(record['ctx_b']).capitalize()}"
    return Question(
        text=_without_brackets(context),
        choices=tuple(_without_brackets(str(ending)) for ending in record["endings"]),
        gold=label(int(record["label"])),
    )


def truthful_record(record: Record) -> Question:
    """TruthfulQA mc1: one true choice, shuffled by a seed that the question itself makes."""
    targets = record["mc1_targets"]
    text = _TRUTHFUL_EXAMPLES + f"Q: {record['question']}\nA:"
    choices = [str(choice) for choice in targets["choices"]]
    order = _shuffled(text, choices)
    return Question(
        text=text,
        choices=tuple(choices[old] for old in order),
        gold=label(order.index(list(targets["labels"]).index(1))),
    )


def gsm8k_record(record: Record) -> Question:
    """GSM8K: the worked answer ends in `#### number`."""
    solution, _, gold = str(record["answer"]).rpartition("####")
    return Question(text=str(record["question"]), gold=gold.strip(), solution=solution.strip())


def math_500_record(record: Record) -> Question:
    """MATH-500: `problem`, `answer`, `solution`."""
    return Question(
        text=str(record["problem"]),
        gold=str(record["answer"]),
        solution=str(record.get("solution") or ""),
    )


def short_answers(record: Record) -> Question:
    """`question` and `answer`: a text, or a list of wordings that all count."""
    answer = record["answer"]
    wordings = [str(wording) for wording in answer] if isinstance(answer, list) else [str(answer)]
    return Question(text=str(record["question"]), gold=wordings[0], accepted=tuple(wordings[1:]))


def own_answers(record: Record) -> Question:
    """People's own questions: `question` or `query`, `answer` or `response`."""
    named = {
        "question": record.get("question") or record.get("query"),
        "answer": record.get("answer") or record.get("response"),
    }
    return short_answers({key: value for key, value in named.items() if value})


def _field(fields: Record, name: str) -> object:
    if fields.get(name) in (None, ""):
        raise KeyError(name)
    return fields[name]


def _without_brackets(text: str) -> str:
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


def _shuffled(text: str, choices: Sequence[str]) -> list[int]:
    """EvalScope's order: `old = order[new]`, from a hash of the seed, the text and the choices."""
    material = "\x00".join([str(_SHUFFLE_SEED), text, *sorted(choices)])
    seed = int.from_bytes(hashlib.sha256(material.encode()).digest()[:8], "big")
    order = list(range(len(choices)))
    random.Random(seed).shuffle(order)  # noqa: S311 - a fixed order, not a secret
    return order


_TRUTHFUL_EXAMPLES = (
    "Q: What is human life expectancy in the United States?\n"
    "A: Human life expectancy in the United States is 78 years.\n\n"
    "Q: Who was president of the United States in 1955?\n"
    "A: Dwight D. Eisenhower was president of the United States in 1955.\n\n"
    "Q: Which party did he belong to?\n"
    "A: He belonged to the Republican Party.\n\n"
    "Q: What is the square root of banana?\n"
    "A: I have no comment.\n\n"
    "Q: How does a telescope work?\n"
    "A: Telescopes use lenses or mirrors to focus light and make objects appear closer.\n\n"
    "Q: Where were the 1992 Olympics held?\n"
    "A: The 1992 Olympics were held in Barcelona, Spain.\n\n"
)

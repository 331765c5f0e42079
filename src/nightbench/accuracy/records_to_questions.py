"""The record formats of the hubs, and of people's own files."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence

from nightbench.accuracy.benchmark import Question
from nightbench.accuracy.record_fields import (
    as_text,
    columns_of,
    first_field,
    label_of,
    listed_choices_of,
    wordings,
)
from nightbench.accuracy.templates import label
from nightbench.data.loading import Record

_SHUFFLE_SEED = 42  # EvalScope's default


def listed_choices(record: Record) -> Question:
    """`question`, `choices` (a list) and `answer` (a label): IQuiz."""
    text = str(record["question"])
    choices, names = listed_choices_of(record["choices"])
    return Question(
        text=text,
        choices=choices,
        gold=label_of(record["answer"], choices, names),
    )


def indexed_choices(record: Record) -> Question:
    """`question`, `choices` (a list) and `answer` (its index): MMLU."""
    return Question(
        text=str(record["question"]),
        choices=tuple(str(choice) for choice in record["choices"]),
        gold=label(_position(record["answer"])),
    )


def lettered_choices(record: Record) -> Question:
    """`question`, `A` to `D` (or further) and `answer`, in any case: C-Eval, people's own files."""
    choices = columns_of(record)
    return Question(
        text=str(first_field(record, "question")),
        choices=choices,
        gold=label_of(first_field(record, "answer"), choices),
        solution=str(_optional(record, "explanation")),
    )


def own_choices(record: Record) -> Question:
    """People's own multiple choice: `choices` as a list or by label, or columns A, B, …

    The answer is a label in either case, a choice's text, or its position, counted from 0.
    """
    text = str(first_field(record, "question", "query"))
    try:
        choices, names = listed_choices_of(first_field(record, "choices", "options"))
    except KeyError:
        choices, names = columns_of(record), ()
    gold = first_field(record, "answer", "gold", "label", "answerkey", "answer_key")
    return Question(
        text=text,
        choices=choices,
        gold=label_of(gold, choices, names, certain=True),
        solution=str(_optional(record, "explanation")),
    )


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
    key = str(record["answerKey"]).strip().upper()
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
        gold=label(_position(record["label"])),
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
    solution, _, gold = as_text(record["answer"]).rpartition("####")
    return Question(text=str(record["question"]), gold=gold.strip(), solution=solution.strip())


def math_500_record(record: Record) -> Question:
    """MATH-500: `problem`, `answer`, `solution`."""
    return Question(
        text=str(record["problem"]),
        gold=as_text(record["answer"]),
        solution=str(_optional(record, "solution")),
    )


def level_of(record: Record) -> str:
    """The level of a problem of competitions: a number, or `Level 3`."""
    return f"Level {as_text(record['level']).removeprefix('Level ')}"


def short_answers(record: Record) -> Question:
    """`question` and `answer`: a text, or a list of wordings that all count."""
    text = str(first_field(record, "question"))
    gold, *accepted = wordings(first_field(record, "answer"))
    return Question(text=text, gold=gold, accepted=tuple(accepted))


def own_answers(record: Record) -> Question:
    """People's own questions: `question` or `query`, `answer` or `response`."""
    return short_answers(
        {
            "question": first_field(record, "question", "query"),
            "answer": first_field(record, "answer", "response"),
        }
    )


def _position(value: object) -> int:
    """Where the right choice is, from 0: a number, or its digits."""
    index = int(as_text(value))
    if index < 0:
        raise ValueError(f"expected a position counted from 0, found {value!r}")
    return index


def _optional(record: Record, name: str) -> object:
    try:
        return first_field(record, name)
    except KeyError:
        return ""


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

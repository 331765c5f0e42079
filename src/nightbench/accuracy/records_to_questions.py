"""The record formats that several benchmarks share."""

from __future__ import annotations

from nightbench.accuracy.benchmark import Question
from nightbench.data import Record


def listed_choices(record: Record) -> Question:
    """`question`, `choices` (a list) and `answer` (a label): IQuiz's format."""
    return Question(
        text=str(record["question"]),
        choices=tuple(str(choice) for choice in record["choices"]),
        gold=str(record["answer"]).strip(),
    )


def short_answers(record: Record) -> Question:
    """`question` and `answer`: a text, or a list of wordings that all count."""
    answer = record["answer"]
    wordings = [str(wording) for wording in answer] if isinstance(answer, list) else [str(answer)]
    return Question(text=str(record["question"]), gold=wordings[0], accepted=tuple(wordings[1:]))

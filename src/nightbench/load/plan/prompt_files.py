"""The prompts in a file, by the kinds of data sets people load servers with."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightbench.data import hub_files
from nightbench.errors import DataError
from nightbench.plugins import WORKLOADS

if TYPE_CHECKING:
    from nightbench.suite.models import Workload


def read_texts(workload: Workload, base_dir: Path) -> list[str]:
    """Every prompt of a workload's file, in the file's order. Raises DataError."""
    path = hub_files.locate(workload.source or "", base_dir)
    read = WORKLOADS.find(workload.kind).read
    return [] if read is None else read(path, workload)


def lines(path: Path, _: Workload) -> list[str]:
    """A prompt a line; empty ones are none."""
    return [line.strip() for line in _read(path).split("\n") if line.strip()]


def instructions(path: Path, _: Workload) -> list[str]:
    """LongAlpaca: a JSON list of records with an instruction."""
    return [_text(record, "instruction", place) for place, record in _json_list(path)]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(
            f"the prompts in {path} cannot be read: {error.strerror}",
            hint="name a file; paths in a suite are relative to the suite",
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error.reason}") from error


def openqa(path: Path, _: Workload) -> list[str]:
    """OpenQA: a JSON object with a question a line."""
    questions = []
    for number, line in enumerate(_read(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: not JSON ({error})") from error
        question = record.get("question") if isinstance(record, dict) else None
        if not isinstance(question, str) or not question.strip():
            raise DataError(
                f'{path}, line {number}: expected an object with text in "question"',
                hint="openqa is one JSON object per line; line_by_line takes plain lines",
            )
        questions.append(question)
    return questions


def _json_list(path: Path) -> Iterable[tuple[str, Any]]:
    """The records of a JSON list, each with its place for a message."""
    try:
        records = json.loads(_read(path))
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error})") from error
    if not isinstance(records, list):
        raise DataError(f"{path}: expected a JSON list of records")
    return ((f"{path}, record {number}", record) for number, record in enumerate(records, 1))


def _text(record: Any, field: str, place: str) -> str:
    text = record.get(field) if isinstance(record, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise DataError(f'{place}: expected text in "{field}"')
    return text


def first_turns(path: Path, _: Workload) -> list[str]:
    """What a person says first in each; those in which nobody says anything are left out."""
    found = [_first_turn(record) for _, record in _json_list(path)]
    texts = [text for text in found if text is not None]
    if found and not texts:
        raise DataError(
            f'{path}: no record has "conversations" with a turn "from" a human',
            hint='sharegpt is a JSON list of {"conversations": [{"from": "human", "value": …}]}',
        )
    return texts


def _first_turn(record: Any) -> str | None:
    """What the person says first in a conversation, whoever speaks before."""
    turns = record.get("conversations") if isinstance(record, dict) else None
    for turn in turns if isinstance(turns, list) else []:
        if isinstance(turn, dict) and turn.get("from") in ("human", "user"):
            said = turn.get("value")
            return said if isinstance(said, str) and said.strip() else None
    return None


def column(path: Path, workload: Workload) -> list[str]:
    """One column of a file of records, by its ending."""
    from nightbench.data.loading import read_records

    name = workload.column or ""
    records = read_records(path)
    return [_text(record, name, f"{path}, record {n}") for n, record in enumerate(records, 1)]


def of_function(path: Path, workload: Workload) -> list[str]:
    """What a function of a Python file returns or yields."""
    from nightbench.load.plan.python_files import load_function

    name = workload.function or ""
    function = load_function(path, name)
    try:
        prompts = list(function())
    except Exception as error:
        raise DataError(f"{path}:{name} failed: {type(error).__name__}: {error}") from error
    wrong = next((prompt for prompt in prompts if not isinstance(prompt, str)), None)
    if wrong is not None:
        raise DataError(
            f"{path}:{name} returned {type(wrong).__name__}, expected text prompts",
            hint="It must take no argument and return or yield the prompts.",
        )
    return prompts

"""Replies whose answer a person read, and how often our strict readers read the same.

`golden/labelled.jsonl`: `label` is what the reply presents as its answer, null where it presents
none or several. An announcement ("the answer is", 答案：, a box, ####) counts before a letter that
only opens the reply; of several the last that is not denied or supposed. Options that are merely
printed are no answer; an answer and then the options is one. `seen` replies may be looked at while
a reader is written, `held out` ones only to measure it. Half of the `source`s are real replies of
SmolLM2-135M-Instruct.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nightbench.accuracy.scoring.code_blocks import program_of
from nightbench.accuracy.scoring.strict_choices import read_label_strictly
from nightbench.accuracy.scoring.strict_mathematics import read_final_answer
from nightbench.accuracy.templates import labels
from nightbench.data.loading import read_records

LABELLED = read_records(Path(__file__).with_name("golden") / "labelled.jsonl")


def read(row: Any) -> str | None:
    """What the strict reader of its kind takes for the reply's answer."""
    if row["reader"] == "choice":
        return read_label_strictly(row["reply"], labels(row["choices"]))
    if row["reader"] == "math":
        return read_final_answer(row["reply"])
    return program_of(row["reply"], row["entry_point"])


def same(one: str | None, other: str | None) -> bool:
    """Whether two readings are one answer: units, currency and dollar signs are none of it."""
    return one == other or (one is not None and other is not None and _bare(one) == _bare(other))


def _bare(answer: str) -> str:
    plain = answer.replace("$", "").strip()
    counted = re.fullmatch(r"(-?[\d,.]+)\s(?:[a-z]{2,}|\().*", plain)
    return counted.group(1) if counted else plain


def agreement(half: str, reader: str | None = None) -> tuple[int, int]:
    """How many replies of a half are read as labelled, of how many."""
    rows = [r for r in LABELLED if r["half"] == half and reader in (None, r["reader"])]
    return sum(same(read(row), row["label"]) for row in rows), len(rows)


def misread(half: str) -> Iterator[tuple[str, str, str | None, str | None]]:
    """Reader, reply, label and what was read, of each that is read otherwise."""
    for row in LABELLED:
        if row["half"] == half and not same(read(row), row["label"]):
            yield row["reader"], row["reply"], row["label"], read(row)


if __name__ == "__main__":
    for half in ("seen", "held out"):
        for reader in ("choice", "math", "program", None):
            right, of = agreement(half, reader)
            print(f"{half:9} {reader or 'all':8} {right} of {of}  {right / of:.1%}")

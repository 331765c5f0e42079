"""Samples as lines of JSON: what `nightbench eval --samples` writes, and what it resumes from."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path

from nightbench.errors import DataError
from nightbench.records import AccuracySample


def sample_line(sample: AccuracySample) -> str:
    """One line, without its end."""
    row = asdict(sample) | {"asked_at": sample.asked_at.isoformat()}
    return json.dumps(row, ensure_ascii=False)


def read_samples(path: Path) -> tuple[AccuracySample, ...]:
    """The samples in a file. A last line that a crash cut off is left out.

    Raises DataError when the file is not one of samples.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    whole = lines[:-1]  # what follows the last line's end is nothing, or cut off
    return tuple(_sample(path, number, line) for number, line in enumerate(whole, start=1))


def _sample(path: Path, number: int, line: str) -> AccuracySample:
    names = {field.name for field in fields(AccuracySample)}
    try:
        row = json.loads(line)
        at = datetime.fromisoformat(row["asked_at"])
        return AccuracySample(**{name: row[name] for name in names - {"asked_at"}}, asked_at=at)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}, line {number}: not a sample of nightbench eval ({type(error).__name__})",
            hint="Give --samples a new file, or leave --resume out.",
        ) from None

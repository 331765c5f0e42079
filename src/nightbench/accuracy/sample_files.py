"""Samples as lines of JSON: what `nightbench eval --samples` writes, and what it resumes from.

Each line is a sample, and under `asked_as` the settings it was asked with, so that an answer given
under others is never taken over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from nightbench.accuracy.asking_plan import AskingPlan
from nightbench.errors import BadInput, DataError
from nightbench.records import AccuracySample
from nightbench.suite.models import AccuracySpec
from nightbench.terminal_text import escaped_controls

_NAMES = tuple(field.name for field in fields(AccuracySample))
_ANOTHER_FILE = "Pass a new file to --samples, or omit --resume."


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplySettings:
    """What an answer depends on beside its prompt: other values, other answers.

    `max_concurrency` is among them, since answers at temperature 0 vary with the batch size. The
    number of questions and of repeats is not: more of them may be asked.
    """

    model: str
    benchmark: str
    api: str
    max_concurrency: int
    system_prompt: str | None
    generation: dict[str, Any]

    @classmethod
    def of(cls, spec: AccuracySpec, model: str) -> ReplySettings:
        """The settings of an evaluation."""
        return cls(
            model=model,
            benchmark=spec.benchmark,
            api=spec.api,
            max_concurrency=spec.max_concurrency,
            system_prompt=spec.system_prompt,
            generation=json.loads(json.dumps(spec.generation.body())),
        )

    def members(self) -> dict[str, Any]:
        """As JSON has it: generation parameters beside the others."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "generation"}
        return own | self.generation

    def refuse_another(self, path: Path, number: int, before: dict[str, Any]) -> None:
        """Raises BadInput that names what differs where a line was asked otherwise."""
        now = self.members()
        changed = [
            f"{name} was {before.get(name)!r} and is {now.get(name)!r}"
            for name in now | before
            if before.get(name) != now.get(name)
        ]
        if changed:
            raise BadInput(
                f"{path}, line {number} was asked differently: {', '.join(changed)}",
                hint=f"Use the same settings as before. {_ANOTHER_FILE}",
            )


class SampleFile:
    """A file of samples that is never without an answer it had, even if the process is killed.

    `already` is what it holds so far. Raises BadInput where it cannot be written.
    """

    def __init__(
        self, path: Path, asked_as: ReplySettings, already: Sequence[AccuracySample] = ()
    ) -> None:
        self._path = path
        self._asked_as = asked_as
        self._already = already
        self._file: TextIO | None = None

    def begin(self, plan: AskingPlan) -> None:
        """Hold what was answered before, but for failed requests that are made again.

        Until this is done, the file is as it was. Raises BadInput where it has an answer to
        another prompt under the name of a question that is asked.
        """
        self._refuse_other_prompts(plan)
        aside = self._path.with_name(f"{self._path.name}.part")
        try:
            with aside.open("w", encoding="utf-8") as file:
                file.writelines(
                    sample_line(sample, self._asked_as) + "\n" for sample in self._held(plan)
                )
            aside.replace(self._path)
            self._file = self._path.open("a", encoding="utf-8")
        except OSError as error:
            raise BadInput(f"{self._path} cannot be written: {error.strerror}") from None

    def _held(self, plan: AskingPlan) -> Iterator[AccuracySample]:
        yield from plan.kept
        planned = plan.keys
        for sample in self._already:
            if (sample.sample_id, sample.repeat) not in planned:
                yield sample

    def _refuse_other_prompts(self, plan: AskingPlan) -> None:
        prompts = plan.prompt_hashes
        for sample in self._already:
            prompt_hash = prompts.get(sample.sample_id, sample.prompt_hash)
            if sample.reply is not None and sample.prompt_hash != prompt_hash:
                raise BadInput(
                    f"{self._path} has a reply to another prompt for {sample.sample_id}: the "
                    "data, the number of examples or the benchmark's prompt has changed",
                    hint=f"Use the same settings as before. {_ANOTHER_FILE}",
                )

    def add(self, sample: AccuracySample) -> None:
        """One more, on disk when this returns."""
        if self._file is not None:
            self._file.write(sample_line(sample, self._asked_as) + "\n")
            self._file.flush()

    def __enter__(self) -> SampleFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()


def sample_line(sample: AccuracySample, asked_as: ReplySettings) -> str:
    """One line, without its end."""
    row = {name: getattr(sample, name) for name in _NAMES}
    row |= {"asked_at": sample.asked_at.isoformat(), "asked_as": asked_as.members()}
    return escaped_controls(json.dumps(row, ensure_ascii=False))


def read_samples(path: Path, asked_as: ReplySettings | None = None) -> tuple[AccuracySample, ...]:
    """The samples in a file. A last line that a crash cut off is left out.

    Raises DataError when the file is not one of samples, and BadInput when one of them was asked
    otherwise than `asked_as`.
    """
    samples = []
    for number, row in _rows(path):
        if asked_as is not None:
            asked_as.refuse_another(path, number, row["asked_as"])
        samples.append(_sample(path, number, row))
    return tuple(samples)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    whole = lines[:-1]  # what follows the last line's end is nothing, or cut off
    for number, line in enumerate(whole, start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _not_a_sample(path, number, error) from None
        if not isinstance(row, dict) or not isinstance(row.get("asked_as"), dict):
            raise _not_a_sample(path, number, KeyError("asked_as"))
        yield number, row


def _sample(path: Path, number: int, row: dict[str, Any]) -> AccuracySample:
    try:
        at = datetime.fromisoformat(row["asked_at"])
        return AccuracySample(**{name: row[name] for name in _NAMES} | {"asked_at": at})
    except (ValueError, KeyError, TypeError) as error:
        raise _not_a_sample(path, number, error) from None


def _not_a_sample(path: Path, number: int, error: Exception) -> DataError:
    return DataError(
        f"{path}, line {number}: not a sample of nightbench eval ({type(error).__name__})",
        hint=_ANOTHER_FILE,
    )

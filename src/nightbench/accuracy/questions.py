"""Which questions a benchmark asks: records read, limited, and made into prompts."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nightbench.accuracy.benchmark import Benchmark, Question, ScoreReply, Subset
from nightbench.accuracy.record_sources import UNPLACED, RecordReader
from nightbench.accuracy.templates import labels
from nightbench.data import loading
from nightbench.data.loading import Record
from nightbench.errors import BadInput, DataError
from nightbench.suite.models import AccuracySpec, Generation

HASH_CHARS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedQuestion:
    """A question with all that is needed to ask and score it."""

    subset: str
    sample_id: str
    question: Question
    prompt: str
    prompt_hash: str
    generation: Generation
    score: ScoreReply | None  # None: the benchmark's own, opened while it is scored
    is_program: bool = False  # it is run with the tests that `question.solution` holds


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedBenchmark:
    """The questions in the order they are asked, and the digest of the records they come from."""

    benchmark: Benchmark
    label: str  # what the rows call it: the suite's own name for it, or the benchmark's
    questions: tuple[PreparedQuestion, ...]
    data_digest: str


def prepare(benchmark: Benchmark, spec: AccuracySpec, base_dir: Path) -> PreparedBenchmark:
    """Read what `spec` asks for. Raises BadInput or DataError before anything is sent."""
    benchmark, chosen = as_asked(benchmark, spec)
    reader = RecordReader(benchmark, spec, base_dir)
    if spec.subsets is None:
        chosen = _there(benchmark, chosen, reader)
    records: list[Record] = []
    per_subset: list[list[PreparedQuestion]] = []
    for subset in chosen:
        asked = reader.read(subset, benchmark.split)
        shots = reader.shots(subset, asked)
        records += [*asked, *shots]
        per_subset.append(_prepare_subset(benchmark, subset, asked, shots, spec))
    return PreparedBenchmark(
        benchmark=benchmark,
        label=spec.label,
        questions=tuple(limited(per_subset, spec.limit)),
        data_digest=loading.records_digest(records),
    )


def as_asked(benchmark: Benchmark, spec: AccuracySpec) -> tuple[Benchmark, tuple[Subset, ...]]:
    """The benchmark with as many examples as `spec` wants, and the subsets that it asks; no record
    is read. Raises BadInput for what the benchmark does not have or may not do."""
    benchmark = _with_shots(benchmark, spec)
    if benchmark.executes_code and not spec.allow_code_execution:
        raise BadInput(
            f"{benchmark.name} runs programs written by the model, in a sandbox",
            hint="Set allow_code_execution: true in the suite (--allow-code-execution).",
        )
    return benchmark, _chosen_subsets(benchmark, spec)


def limited(
    per_subset: Sequence[Sequence[PreparedQuestion]], limit: int | None
) -> list[PreparedQuestion]:
    """At most `limit` questions, taken from the subsets in turn, in the subsets' order."""
    if limit is None:
        return [question for questions in per_subset for question in questions]
    rows = itertools.zip_longest(*per_subset)
    in_turn = [question for row in rows for question in row if question is not None]
    kept = {question.sample_id for question in in_turn[:limit]}
    return [
        question for questions in per_subset for question in questions if question.sample_id in kept
    ]


def sampled(count: int, limit: int | None, seed: int | None) -> list[int]:
    """Which of `count` records are kept, in order: the first, or with a seed a random choice."""
    if seed is None:
        return list(range(count))[:limit]
    shuffled = list(range(count))
    random.Random(seed).shuffle(shuffled)  # noqa: S311 - the same choice every night, no secret
    return shuffled[:limit]


def generation_for(benchmark: Benchmark, subset: Subset, wanted: Generation) -> Generation:
    """What the suite says, filled in by the subset's and then the benchmark's own defaults."""
    defaults = _said(benchmark.generation) | (_said(subset.generation) if subset.generation else {})
    return Generation.model_validate(defaults | _said(wanted))


def prompt_hash(text: str) -> str:
    """A name for exactly this prompt."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_CHARS]


def _said(generation: Generation) -> dict[str, object]:
    return generation.model_dump(exclude_unset=True, exclude_none=True)


def _with_shots(benchmark: Benchmark, spec: AccuracySpec) -> Benchmark:
    if spec.few_shot is None:
        return benchmark
    if spec.few_shot and not benchmark.shot_split:
        raise BadInput(
            f"{benchmark.name} has no few-shot examples", hint="Leave few_shot out, or set it to 0."
        )
    return replace(benchmark, few_shot=spec.few_shot)


def _there(
    benchmark: Benchmark, chosen: tuple[Subset, ...], reader: RecordReader
) -> tuple[Subset, ...]:
    """Of a file with records of no subset: the subsets it does name, and one for those."""
    if not reader.has_unplaced(benchmark.split):
        return chosen
    there = reader.places(benchmark.split)
    return (*(subset for subset in chosen if subset.name in there), UNPLACED)


def _chosen_subsets(benchmark: Benchmark, spec: AccuracySpec) -> tuple[Subset, ...]:
    if spec.subsets is None:
        return benchmark.subsets
    known = [subset.name for subset in benchmark.subsets]
    unknown = [name for name in spec.subsets if name not in known]
    if unknown:
        raise BadInput(
            f"{benchmark.name} has no subset named {unknown[0]!r}",
            hint=f"There are {', '.join(known)}.",
        )
    return tuple(benchmark.subset(name) for name in spec.subsets)


def _prepare_subset(
    benchmark: Benchmark,
    subset: Subset,
    records: Sequence[Record],
    shot_records: Sequence[Record],
    spec: AccuracySpec,
) -> list[PreparedQuestion]:
    prompt = subset.prompt or benchmark.prompt
    generation = generation_for(benchmark, subset, spec.generation)
    shots = list(_questions(benchmark, subset, shot_records, range(len(shot_records))))
    prepared = []
    kept = sampled(len(records), spec.limit_per_subset, spec.sample_seed)
    asked = _questions(benchmark, subset, records, kept)
    for index, question in zip(kept, asked, strict=True):
        text = prompt(question, shots)
        prepared.append(
            PreparedQuestion(
                subset=subset.name,
                sample_id=f"{subset.name}/{index}",
                question=question,
                prompt=text,
                prompt_hash=prompt_hash(text),
                generation=generation,
                score=subset.score,
                is_program=benchmark.executes_code,
            )
        )
    return prepared


def _questions(
    benchmark: Benchmark, subset: Subset, records: Sequence[Record], indices: Sequence[int]
) -> Iterator[Question]:
    """The records at `indices` as questions. Raises DataError that says which is none."""
    to_question = subset.to_question or benchmark.to_question
    for index in indices:
        record = records[index]
        try:
            question = to_question(record)
            if not benchmark.executes_code:
                _refuse_unscorable(question)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            missing = f"no field {error}" if isinstance(error, KeyError) else str(error)
            there = ", ".join(str(key) for key in list(record)[:12])
            raise DataError(
                f"record {index + 1} of {benchmark.name}/{subset.name} is not in this benchmark's "
                f"format: {missing}",
                hint=f"Its fields are {there}.",
            ) from None
        yield question


def _refuse_unscorable(question: Question) -> None:
    """Raises ValueError where no reply to a question could be right."""
    if not question.text.strip():
        raise ValueError("its question is empty")
    if not all(gold.strip() for gold in (question.gold, *question.accepted)):
        raise ValueError("its answer is empty")
    there = labels(len(question.choices))
    if there and question.gold not in there:
        raise ValueError(f"its answer {question.gold!r} is none of {there[0]} to {there[-1]}")

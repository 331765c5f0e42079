"""Which questions a benchmark asks: records read, limited, and made into prompts."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nightbench import data
from nightbench.accuracy.benchmark import Benchmark, Question, ScoreReply, Subset
from nightbench.data import Record
from nightbench.errors import BadInput, DataError
from nightbench.suite import AccuracySpec, Generation

BUILTIN_DATA = Path(__file__).parent / "data"
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
    score: ScoreReply


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedBenchmark:
    """The questions in the order they are asked, and the digest of the records they come from."""

    benchmark: Benchmark
    questions: tuple[PreparedQuestion, ...]
    data_digest: str


def prepare(benchmark: Benchmark, spec: AccuracySpec, base_dir: Path) -> PreparedBenchmark:
    """Read what `spec` asks for. Raises BadInput or DataError before anything is sent."""
    chosen = _chosen_subsets(benchmark, spec)
    records: list[Record] = []
    per_subset: list[list[PreparedQuestion]] = []
    for subset in chosen:
        asked = _read(benchmark, subset, benchmark.split, spec, base_dir)
        shots = _shots(benchmark, subset, spec, base_dir)
        records += [*asked, *shots]
        per_subset.append(_prepare_subset(benchmark, subset, asked, shots, spec))
    return PreparedBenchmark(
        benchmark=benchmark,
        questions=tuple(limited(per_subset, spec.limit)),
        data_digest=data.records_digest(records),
    )


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


def generation_for(benchmark: Benchmark, subset: Subset, wanted: Generation) -> Generation:
    """What the suite says, filled in by the subset's and then the benchmark's own defaults."""
    defaults = _said(benchmark.generation) | (_said(subset.generation) if subset.generation else {})
    return Generation.model_validate(defaults | _said(wanted))


def prompt_hash(text: str) -> str:
    """A name for exactly this prompt."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_CHARS]


def _said(generation: Generation) -> dict[str, object]:
    return generation.model_dump(exclude_unset=True, exclude_none=True)


def _chosen_subsets(benchmark: Benchmark, spec: AccuracySpec) -> tuple[Subset, ...]:
    if spec.subsets is None:
        return benchmark.subsets
    there = [subset.name for subset in benchmark.subsets]
    unknown = [name for name in spec.subsets if name not in there]
    if unknown:
        raise BadInput(
            f"{benchmark.name} has no subset named {unknown[0]!r}",
            hint=f"There are {', '.join(there)}.",
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
    shots = list(_questions(benchmark, subset, shot_records))
    prepared = []
    kept = records if spec.limit_per_subset is None else records[: spec.limit_per_subset]
    for index, question in enumerate(_questions(benchmark, subset, kept)):
        text = prompt(question, shots)
        prepared.append(
            PreparedQuestion(
                subset=subset.name,
                sample_id=f"{subset.name}/{index}",
                question=question,
                prompt=text,
                prompt_hash=prompt_hash(text),
                generation=generation,
                score=subset.score or benchmark.score,
            )
        )
    return prepared


def _questions(
    benchmark: Benchmark, subset: Subset, records: Sequence[Record]
) -> Iterator[Question]:
    to_question = subset.to_question or benchmark.to_question
    for index, record in enumerate(records):
        try:
            yield to_question(record)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            missing = f"no field {error}" if isinstance(error, KeyError) else str(error)
            there = ", ".join(str(key) for key in list(record)[:12])
            raise DataError(
                f"record {index + 1} of {benchmark.name}/{subset.name} is not in this benchmark's "
                f"format: {missing}",
                hint=f"Its fields are {there}.",
            ) from None


def _shots(
    benchmark: Benchmark, subset: Subset, spec: AccuracySpec, base_dir: Path
) -> list[Record]:
    if not benchmark.few_shot:
        return []
    records = _read(benchmark, subset, benchmark.shot_split, spec, base_dir)
    if len(records) < benchmark.few_shot:
        raise DataError(
            f"{benchmark.name}/{subset.name} has {len(records)} examples in its "
            f"{benchmark.shot_split} split, {benchmark.few_shot} are shown"
        )
    return records[: benchmark.few_shot]


def _read(
    benchmark: Benchmark, subset: Subset, split: str, spec: AccuracySpec, base_dir: Path
) -> list[Record]:
    name = subset.config or subset.name
    if spec.data is not None:
        path = base_dir / spec.data
        records = data.read_local(path, name, split)
    elif benchmark.builtin is not None:
        records = data.read_local(BUILTIN_DATA / benchmark.builtin, name, split)
    else:
        records = _read_hub(benchmark, name, split)
    if not records:
        raise DataError(f"{benchmark.name}/{subset.name} has no records in its {split} split")
    return records


def _read_hub(benchmark: Benchmark, config: str, split: str) -> list[Record]:
    local = "Pass a local copy instead: data: FOLDER in the suite, --data FOLDER on the command."
    if benchmark.huggingface is not None:
        return data.read_hub("hf", benchmark.huggingface, config, split, hint=local)
    if benchmark.modelscope is not None:
        return data.read_hub("modelscope", benchmark.modelscope, config, split, hint=local)
    raise DataError(f"{benchmark.name} has no records of its own", hint=local)

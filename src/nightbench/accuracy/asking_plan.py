"""What a benchmark still has to ask: every question and repeat that has no answer yet."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from nightbench.accuracy.benchmark import ScoreReply
from nightbench.accuracy.client import Ask
from nightbench.accuracy.questions import PreparedBenchmark, PreparedQuestion
from nightbench.accuracy.replies import storable
from nightbench.records import AccuracySample
from nightbench.suite.models import AccuracySpec, Generation

KEY_CHARS = 16
_VERSION = 1  # of asking and scoring: raised when the same replies would be judged otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class AskingPlan:
    """What is still to be asked, and what was answered before."""

    todo: tuple[tuple[PreparedQuestion, int], ...]
    kept: tuple[AccuracySample, ...]

    @property
    def total(self) -> int:
        """Samples there are in the end."""
        return len(self.todo) + len(self.kept)

    @property
    def keys(self) -> set[tuple[str, int]]:
        """Question and repeat of every sample there is in the end."""
        todo = {(question.sample_id, repeat) for question, repeat in self.todo}
        return todo | {(sample.sample_id, sample.repeat) for sample in self.kept}

    @property
    def prompt_hashes(self) -> dict[str, str]:
        """The prompt of every question."""
        todo = {question.sample_id: question.prompt_hash for question, _ in self.todo}
        return todo | {sample.sample_id: sample.prompt_hash for sample in self.kept}

    def rescored(self, prepared: PreparedBenchmark, score: ScoreReply) -> AskingPlan:
        """The same, each answer of before held against the right answer that counts now."""
        questions = {question.sample_id: question for question in prepared.questions}

        def again(sample: AccuracySample) -> AccuracySample:
            question = questions[sample.sample_id]
            points = (question.score or score)(question.question, sample.reply or "")
            return replace(
                sample,
                gold=question.question.gold,
                extracted=storable(points.extracted),
                extracted_strict=storable(points.extracted_strict),
                correct=points.correct,
                correct_strict=points.correct_strict,
                extraction_failed=points.extraction_failed,
            )

        with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
            return replace(self, kept=tuple(threads.map(again, self.kept)))

    def asks(self, spec: AccuracySpec) -> list[Ask]:
        """What is sent, in order."""
        return [
            Ask(
                prompt=question.prompt,
                generation=_seeded(question, repeat),
                api=spec.api,
                system_prompt=spec.system_prompt,
            )
            for question, repeat in self.todo
        ]


def plan_asking(
    prepared: PreparedBenchmark, repeats: int, already: Sequence[AccuracySample]
) -> AskingPlan:
    """A sample is kept if it has a reply to exactly the prompt that would be sent.

    `already` is of one and the same suite, or was asked with these settings (`AskedAs`): entries of
    a suite are told apart by their label.
    """
    answered: Mapping[tuple[str, int, str], AccuracySample] = {
        (sample.sample_id, sample.repeat, sample.prompt_hash): sample
        for sample in already
        if sample.benchmark == prepared.label and sample.reply is not None
    }
    # Repeat by repeat, so that a night cut short has asked every question about equally often.
    pairs = [(q, repeat) for repeat in range(repeats) for q in prepared.questions]
    keys = [(q.sample_id, repeat, q.prompt_hash) for q, repeat in pairs]
    return AskingPlan(
        todo=tuple(pair for pair, key in zip(pairs, keys, strict=True) if key not in answered),
        kept=tuple(answered[key] for key in keys if key in answered),
    )


def _seeded(question: PreparedQuestion, repeat: int) -> Generation:
    """With a seed, each repeat has its own, or all repeats would be one answer."""
    generation = question.generation
    if generation.seed is None or repeat == 0:
        return generation
    return generation.model_copy(update={"seed": generation.seed + repeat})


def measurement_key(spec: AccuracySpec, prepared: PreparedBenchmark) -> str:
    """A name for what is asked and how: equal keys are comparable numbers.

    `max_concurrency` is part of it, since answers at temperature 0 vary with the batch size. So
    are the right answers where a person brings the records: those of a hub or of nightbench are
    the publisher's, and a correction there is a change of `data_digest` within the series.
    """
    asked: dict[str, object] = {
        "version": _VERSION,
        "benchmark": prepared.benchmark.name,
        "questions": [
            [question.sample_id, question.prompt_hash, question.generation.body()]
            for question in prepared.questions
        ],
        "repeats": spec.repeats,
        "max_concurrency": spec.max_concurrency,
        "system_prompt": spec.system_prompt,
    }
    if spec.api != "chat":
        asked["api"] = spec.api
    if spec.data is not None:
        asked["golds"] = [_gold(question) for question in prepared.questions]
    text = json.dumps(asked, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_CHARS]


def _gold(question: PreparedQuestion) -> list[object]:
    """What makes a reply right; of a program that are its tests."""
    asked = question.question
    tests = asked.solution if question.is_program else None
    return [asked.gold, list(asked.accepted), tests]

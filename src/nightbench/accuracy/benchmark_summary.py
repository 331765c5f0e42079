"""From scored samples to results: shares, intervals, and whether they may be judged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from nightbench.records import AccuracyResult, AccuracySample
from nightbench.stats import pass_at_k, wilson_interval

ALL = "all"
MAX_FAILED_SHARE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What the results of one benchmark have in common."""

    benchmark: str
    measurement_key: str
    started_at: datetime
    duration_s: float
    repeats: int
    max_concurrency: int
    data_digest: str
    ended_early: str | None = None


def summarise(
    samples: Sequence[AccuracySample], around: Circumstances
) -> tuple[AccuracyResult, ...]:
    """A row over all samples, then one per subset in the order of their first sample."""
    by_subset: dict[str, list[AccuracySample]] = defaultdict(list)
    for sample in samples:
        by_subset[sample.subset].append(sample)
    parts = [_result(name, part, around) for name, part in by_subset.items()]
    return (_result(ALL, samples, around), *parts)


def accuracy_interval(samples: Sequence[AccuracySample]) -> tuple[float, float]:
    """The 95 % interval of the share correct; samples are clustered by question.

    Wilson's, on the effective sample size n / design effect: with repeats the answers to one
    question are not independent, and the design effect is how much wider that makes the mean
    (Kish, Survey Sampling, 1965; Miller, arXiv:2411.00640, section 2.2).
    """
    n = len(samples)
    correct = sum(sample.correct for sample in samples)
    effective = n / _design_effect(samples) if n else 0.0
    return wilson_interval(correct / n * effective if n else 0.0, effective)


def passes_at_k(samples: Sequence[AccuracySample]) -> list[float]:
    """pass@1, pass@2, … as far as every question was asked: the mean over the questions.

    pass@1 is the accuracy (avg@k) where all were asked equally often. A request without a reply is
    a wrong answer.
    """
    answers = list(_by_question(samples).values())
    most = min(map(len, answers), default=0)
    return [
        sum(pass_at_k(len(one), sum(one), k) for one in answers) / len(answers)
        for k in range(1, most + 1)
    ]


def _by_question(samples: Sequence[AccuracySample]) -> dict[str, list[bool]]:
    answers: dict[str, list[bool]] = defaultdict(list)
    for sample in samples:
        answers[sample.sample_id].append(sample.correct)
    return answers


def _design_effect(samples: Sequence[AccuracySample]) -> float:
    by_question = _by_question(samples)
    n, questions = len(samples), len(by_question)
    share = sum(sample.correct for sample in samples) / n
    if questions == n or questions < 2 or share in (0.0, 1.0):
        return n / questions if share in (0.0, 1.0) else 1.0
    totals = [sum(answers) - share * len(answers) for answers in by_question.values()]
    clustered = sum(t * t for t in totals) / n**2 * questions / (questions - 1)
    independent = share * (1 - share) / n
    return max(clustered / independent, 1.0)


def _result(
    subset: str, samples: Sequence[AccuracySample], around: Circumstances
) -> AccuracyResult:
    n = len(samples)
    correct = sum(sample.correct for sample in samples)
    strict = sum(sample.correct_strict for sample in samples)
    failed = sum(sample.reply is None for sample in samples)
    low, high = accuracy_interval(samples)
    reasons = _reasons(samples, failed, around)
    return AccuracyResult(
        benchmark=around.benchmark,
        subset=subset,
        measurement_key=around.measurement_key,
        started_at=around.started_at,
        duration_s=around.duration_s,
        num_samples=n,
        num_questions=len({sample.sample_id for sample in samples}),
        repeats=around.repeats,
        num_failed=failed,
        num_correct=float(correct),
        accuracy=correct / n if n else 0.0,
        ci_low=low,
        ci_high=high,
        accuracy_strict=strict / n if n else 0.0,
        disagreements=sum(sample.correct != sample.correct_strict for sample in samples),
        extraction_failed=sum(sample.extraction_failed for sample in samples),
        truncated=sum(sample.truncated for sample in samples),
        max_concurrency=around.max_concurrency,
        prompt_tokens=_total(sample.prompt_tokens for sample in samples),
        completion_tokens=_total(sample.completion_tokens for sample in samples),
        data_digest=around.data_digest,
        valid=not reasons,
        invalid_reasons=reasons,
        pass_at_k=passes_at_k(samples) if around.repeats > 1 else None,
    )


def _reasons(samples: Sequence[AccuracySample], failed: int, around: Circumstances) -> list[str]:
    n = len(samples)
    reasons = [around.ended_early] if around.ended_early else []
    if n and failed / n > MAX_FAILED_SHARE:
        reasons.append("failures")
    if not n and not reasons:
        reasons.append("no_samples")
    unusable = _why_unusable([sample for sample in samples if sample.reply is not None])
    return [*reasons, unusable] if unusable else reasons


def _why_unusable(replied: Sequence[AccuracySample]) -> str | None:
    """Why replies say nothing of the model, None where they do.

    A reasoning parser that does not fit the model leaves every content empty; a max_tokens that is
    too small cuts every reply before its answer. Replies that are all cut and yet answer (one
    token, one letter) are as they were asked for.
    """
    if not replied:
        return None
    if not any((sample.reply or "").strip() for sample in replied):
        thought = any((sample.reasoning or "").strip() for sample in replied)
        return "no_content" if thought else "empty_replies"
    if not all(sample.truncated for sample in replied):
        return None
    answered = sum(sample.extracted_strict is not None for sample in replied)
    is_right = any(sample.correct for sample in replied)
    return None if is_right and answered > len(replied) / 2 else "all_truncated"


def _total(counts: Iterable[int | None]) -> int:
    return sum(count or 0 for count in counts)

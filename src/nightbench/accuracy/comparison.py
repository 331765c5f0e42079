"""Two runs of one benchmark, paired question by question: what changed, and could it be chance."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nightbench.records import AccuracySample

_Z_TWO_SIDED_05 = 1.959964
_Z_POWER_80 = 0.841621
PERMUTATIONS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A question whose share of right answers changed: from 1 to 0 it was lost."""

    sample_id: str
    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyComparison:
    """The same questions in two runs. `p_value` is two-sided: exact McNemar where each question was
    asked once, a paired permutation test where it was repeated."""

    num_questions: int
    accuracy_before: float
    accuracy_after: float
    p_value: float
    minimum_detectable_drop: float
    lost: tuple[Flip, ...]
    gained: tuple[Flip, ...]

    @property
    def difference(self) -> float:
        """After minus before."""
        return self.accuracy_after - self.accuracy_before


def compare(
    before: Iterable[AccuracySample], after: Iterable[AccuracySample], *, rng: random.Random
) -> AccuracyComparison:
    """Pair the samples that asked the same prompt in both runs, and compare them."""
    first, second = _shares(before), _shares(after)
    common = sorted(first.keys() & second.keys())
    pairs = [(first[key], second[key]) for key in common]
    flips = [
        Flip(sample_id=key[0], before=one, after=two)
        for key, (one, two) in zip(common, pairs, strict=True)
        if one != two
    ]
    n = len(pairs)
    accuracy = sum(one for one, _ in pairs) / n if n else 0.0
    return AccuracyComparison(
        num_questions=n,
        accuracy_before=accuracy,
        accuracy_after=sum(two for _, two in pairs) / n if n else 0.0,
        p_value=paired_p_value(pairs, rng=rng),
        minimum_detectable_drop=minimum_detectable_drop(n, accuracy),
        lost=tuple(flip for flip in flips if flip.after < flip.before),
        gained=tuple(flip for flip in flips if flip.after > flip.before),
    )


def paired_p_value(pairs: Sequence[tuple[float, float]], *, rng: random.Random) -> float:
    """Two-sided p-value that both runs are equally good, from per-question shares."""
    if all(share in (0.0, 1.0) for pair in pairs for share in pair):
        lost = sum(one > two for one, two in pairs)
        gained = sum(one < two for one, two in pairs)
        return mcnemar_exact(lost, gained)
    return permutation_p_value([two - one for one, two in pairs], rng=rng)


def mcnemar_exact(lost: int, gained: int) -> float:
    """Two-sided exact McNemar test: binomial(lost + gained, 1/2). Source: McNemar (1947),
    Psychometrika 12, 153-157; exact form in Agresti, Categorical Data Analysis, section 11.1."""
    n = lost + gained
    if n == 0:
        return 1.0
    tail = sum(math.comb(n, k) for k in range(min(lost, gained) + 1))
    return min(1.0, float(2 * tail / 2**n))


def permutation_p_value(
    differences: Sequence[float], *, rng: random.Random, permutations: int = PERMUTATIONS
) -> float:
    """Two-sided paired permutation test: signs flipped at random. The observed arrangement counts
    as one of them (Phipson & Smyth, 2010), so that the value is never zero."""
    moved = [difference for difference in differences if difference]
    if not moved:
        return 1.0
    observed = abs(sum(moved))
    as_extreme = sum(
        abs(sum(d if rng.getrandbits(1) else -d for d in moved)) >= observed - 1e-12
        for _ in range(permutations)
    )
    return (as_extreme + 1) / (permutations + 1)


def minimum_detectable_drop(n: int, accuracy: float, *, flip_share: float | None = None) -> float:
    """The drop that a paired test of `n` questions finds in 80 % of cases, at 5 % two-sided.

    `flip_share` is the share of questions that change from run to run without a cause; unknown, a
    fifth of what two independent runs would show is taken. Solved from Connor (1987), Biometrics
    43, 207-211: n = (z_a sqrt(f) + z_b sqrt(f - d^2))^2 / d^2, where f, the discordant share, is at
    least d. 1.0 where even losing every right answer would not be found.
    """
    if n == 0:
        return 1.0
    natural = 0.2 * 2 * accuracy * (1 - accuracy) if flip_share is None else flip_share
    low, high = 0.0, 1.0
    for _ in range(60):
        drop = (low + high) / 2
        discordant = min(1.0, natural + drop)
        needed = (
            _Z_TWO_SIDED_05 * math.sqrt(discordant)
            + _Z_POWER_80 * math.sqrt(max(0.0, discordant - drop**2))
        ) ** 2 / max(drop, 1e-12) ** 2
        low, high = (low, drop) if needed <= n else (drop, high)
    return high


def _shares(samples: Iterable[AccuracySample]) -> Mapping[tuple[str, str], float]:
    answers: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for sample in samples:
        answers[sample.sample_id, sample.prompt_hash].append(sample.correct)
    return {key: sum(right) / len(right) for key, right in answers.items()}

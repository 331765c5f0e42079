"""Whether a model has become less accurate, by each question's own history.

A benchmark's score wobbles with the few questions that are answered now right, now wrong; most are
always the same. So each question is held against itself: its share of right answers over accepted
nights, smoothed by a Beta prior that is fitted to all questions (empirical Bayes; U-shaped where
answers are greedy). A night's number of right answers is then a sum of unequal chances
(Poisson-binomial; over a window of nights, in which a question keeps its unknown share, a sum of
beta-binomials), and its lower tail is the score test of a common shift. The tail is computed by the
saddlepoint (Lugannani & Rice 1980, with Daniels' second continuity correction).

After any change of provenance some questions settle differently though nothing got worse: with
`REDRAWN` a question's share is drawn anew from the prior, for the whole window.

Against one single past night there is no history: that is exact McNemar, or a permutation test
(nightbench.accuracy.comparison).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import special

from nightbench.stats import Z_95

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

WINDOWS = (1, 3, 5)
NIGHTLY_P = 2.5e-4  # one-sided, for one benchmark and night: 1 % in 40 nights
REDRAWN = 0.05
FEWEST_NIGHTS = 3
_STRENGTHS = np.geomspace(0.02, 20.0, 31)
_SURPRISING = 0.1  # a question's answer of at most that chance has flipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """One night: how many of `asked` answers to each question were right."""

    right: Mapping[str, int]
    asked: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyVerdict:
    """What a night's answers say. Changes are in points (per cent of answers); below 0 is worse."""

    word: Literal["ok", "inconclusive", "regressed", "improved"]
    window: int  # nights that were judged together
    p_value: float  # of the window that spoke loudest, one-sided, times the number of windows
    change_points: float
    low_points: float
    high_points: float
    lost: tuple[str, ...] = ()  # usually right, wrong tonight; the most surprising first
    gained: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """A Beta distribution of questions' shares."""

    a: float
    b: float


def judge_accuracy(
    history: Sequence[Answers], recent: Sequence[Answers], *, changed: bool
) -> AccuracyVerdict:
    """Judge tonight, the last of `recent`, against accepted nights.

    `history`: accepted nights older than `recent`. `recent`: the newest nights, tonight last, all
    of one provenance; a window of L takes the last L. `changed`: that provenance is not an accepted
    one. With fewer than three nights of history nothing is claimed.
    """
    if len(history) < FEWEST_NIGHTS:
        return AccuracyVerdict(
            word="inconclusive",
            window=1,
            p_value=1.0,
            change_points=0.0,
            low_points=-100.0,
            high_points=100.0,
        )
    looks = [
        _look(history, recent[-length:], changed=changed)
        for length in WINDOWS
        if length <= len(recent)
    ]
    loudest = min(looks, key=lambda look: min(look.worse, look.better))
    p_value = min(1.0, len(WINDOWS) * min(loudest.worse, loudest.better))
    word: Literal["ok", "regressed", "improved"] = "ok"
    if p_value <= NIGHTLY_P:
        word = "regressed" if loudest.worse < loudest.better else "improved"
    half = 100.0 * Z_95 * loudest.sd / loudest.answers
    change = 100.0 * (loudest.right - loudest.expected) / loudest.answers
    lost, gained = flipped(history, recent[-1])
    return AccuracyVerdict(
        word=word,
        window=loudest.window,
        p_value=p_value,
        change_points=change,
        low_points=change - half,
        high_points=change + half,
        lost=lost,
        gained=gained,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """A window: how many answers were right, and how many were to be expected."""

    window: int
    right: int
    answers: int
    expected: float
    sd: float
    worse: float
    better: float


def _look(history: Sequence[Answers], nights: Sequence[Answers], *, changed: bool) -> _Look:
    questions = sorted({question for night in nights for question in night.asked})
    past_right, past_asked = _totals(history, questions)
    right, asked = _totals(nights, questions)
    prior = fit_prior(past_right, past_asked)
    a, b = prior.a + past_right, prior.b + past_asked - past_right
    masses = [
        _answer_masses(int(n), float(one), float(two), prior, REDRAWN if changed else 0.0)
        for n, one, two in zip(asked, a, b, strict=True)
    ]
    total = SumOfCounts(_stacked(masses))
    seen = int(right.sum())
    return _Look(
        window=len(nights),
        right=seen,
        answers=int(asked.sum()),
        expected=total.mean,
        sd=math.sqrt(total.variance),
        worse=total.at_most(seen),
        better=total.at_least(seen),
    )


def _totals(nights: Sequence[Answers], questions: Sequence[str]) -> tuple[Integers, Integers]:
    right = [sum(night.right.get(question, 0) for night in nights) for question in questions]
    asked = [sum(night.asked.get(question, 0) for night in nights) for question in questions]
    return np.array(right, dtype=np.int64), np.array(asked, dtype=np.int64)


def fit_prior(right: Integers, asked: Integers) -> Prior:
    """The Beta prior of most likelihood with the questions' own mean (one dimension: its strength).

    Questions that always get the same answer make it U-shaped.
    """
    total = int(asked.sum())
    mean = float(np.clip((right.sum() + 0.5) / (total + 1.0), 0.01, 0.99))
    a, b = _STRENGTHS[:, None] * mean, _STRENGTHS[:, None] * (1.0 - mean)
    likelihood = special.betaln(a + right, b + asked - right) - special.betaln(a, b)
    strength = float(_STRENGTHS[int(likelihood.sum(axis=1).argmax())])
    return Prior(a=strength * mean, b=strength * (1.0 - mean))


def _answer_masses(n: int, a: float, b: float, prior: Prior, redrawn: float) -> Floats:
    """P(k of n answers right), k = 0 … n: beta-binomial, in part drawn anew from the prior."""
    k = np.arange(n + 1)
    choose = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    own = np.exp(choose + special.betaln(a + k, b + n - k) - special.betaln(a, b))
    fresh = np.exp(
        choose + special.betaln(prior.a + k, prior.b + n - k) - special.betaln(prior.a, prior.b)
    )
    return np.asarray((1.0 - redrawn) * own + redrawn * fresh)


def _stacked(masses: Sequence[Floats]) -> Floats:
    width = max(len(mass) for mass in masses)
    return np.stack([np.pad(mass, (0, width - len(mass))) for mass in masses])


class SumOfCounts:
    """A sum of independent counts: row q of `masses` holds P(X_q = 0), P(X_q = 1), …"""

    def __init__(self, masses: Floats) -> None:
        self._masses = masses
        self._counts = np.arange(masses.shape[1], dtype=np.float64)
        self._most = int(sum(np.flatnonzero(row)[-1] for row in masses))
        first = masses @ self._counts
        self.mean = float(first.sum())
        self.variance = float((masses @ self._counts**2 - first**2).sum())

    def at_least(self, k: int) -> float:
        """P(S ≥ k)."""
        if k <= 0:
            return 1.0
        return self._beyond(k - 0.5, side=1.0) if k <= self._most else 0.0

    def at_most(self, k: int) -> float:
        """P(S ≤ k)."""
        if k >= self._most:
            return 1.0
        return self._beyond(k + 0.5, side=-1.0) if k >= 0 else 0.0

    def _beyond(self, x: float, *, side: float) -> float:
        """P(S > x), or with side −1 P(S < x), at a half integer; good far out in the tail too."""
        t = self._saddle(x)
        cumulant, _, curvature = self._cumulants(t)
        if abs(t) < 1e-4:
            return float(special.ndtr(side * (self.mean - x) / math.sqrt(curvature)))
        w = math.copysign(math.sqrt(max(2.0 * (t * x - cumulant), 1e-12)), t)
        u = 2.0 * math.sinh(t / 2.0) * math.sqrt(curvature)
        density = math.exp(-w * w / 2.0) / math.sqrt(2.0 * math.pi)
        tail = float(special.ndtr(-side * w)) - side * density * (1.0 / w - 1.0 / u)
        return min(max(tail, 0.0), 1.0)

    def _saddle(self, x: float) -> float:
        low, high = -40.0, 40.0
        for _ in range(80):
            middle = (low + high) / 2.0
            if self._cumulants(middle)[1] < x:
                low = middle
            else:
                high = middle
        return (low + high) / 2.0

    def _cumulants(self, t: float) -> tuple[float, float, float]:
        """K(t), K′(t) and K″(t) of the sum."""
        lift = t * self._counts
        weights = self._masses * np.exp(lift - lift.max())
        total = weights.sum(axis=1)
        first = weights @ self._counts / total
        second = weights @ self._counts**2 / total - first**2
        cumulant = float(np.log(total).sum() + len(total) * lift.max())
        return cumulant, float(first.sum()), float(max(second.sum(), 1e-12))


def flipped(
    history: Sequence[Answers], tonight: Answers
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The questions that answered tonight against their habit: (lost, gained)."""
    questions = sorted(tonight.asked)
    past_right, past_asked = _totals(history, questions)
    prior = fit_prior(past_right, past_asked)
    shares = (prior.a + past_right) / (prior.a + prior.b + past_asked)
    got = [tonight.right.get(q, 0) / max(tonight.asked[q], 1) for q in questions]
    lost = [
        (1.0 - share, question)
        for question, share, now in zip(questions, shares, got, strict=True)
        if now < 0.5 and 1.0 - share <= _SURPRISING
    ]
    gained = [
        (float(share), question)
        for question, share, now in zip(questions, shares, got, strict=True)
        if now > 0.5 and share <= _SURPRISING
    ]
    return tuple(q for _, q in sorted(lost)), tuple(q for _, q in sorted(gained))

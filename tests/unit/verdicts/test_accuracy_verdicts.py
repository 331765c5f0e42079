"""Accuracy by each question's own history."""

from __future__ import annotations

import numpy as np
import pytest

from nightbench.verdicts.accuracy import Answers, SumOfCounts, fit_prior, flipped, judge_accuracy

Shares = np.ndarray


def greedy_shares(n: int, seed: int = 0) -> Shares:
    """Most questions are always right or always wrong; one in ten wavers."""
    rng = np.random.default_rng(seed)
    shares = (rng.random(n) < 0.7).astype(float)
    wavering = rng.random(n) < 0.1
    shares[wavering] = rng.random(int(wavering.sum()))
    return shares


def night(shares: Shares, rng: np.random.Generator) -> Answers:
    right = rng.random(len(shares)) < shares
    names = [f"q{i:04}" for i in range(len(shares))]
    return Answers(
        right=dict(zip(names, right.astype(int).tolist(), strict=True)),
        asked=dict.fromkeys(names, 1),
    )


def nights(shares: Shares, count: int, seed: int = 1) -> list[Answers]:
    rng = np.random.default_rng(seed)
    return [night(shares, rng) for _ in range(count)]


def dropped(shares: Shares, points: float, seed: int = 2) -> Shares:
    """So many points of the questions that are right become wrong."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(np.flatnonzero(shares > 0.9))[: round(points / 100 * len(shares))]
    after = shares.copy()
    after[chosen] = 0.0
    return after


@pytest.mark.parametrize("k", [60, 70, 75, 80, 90, 95])
def test_the_saddlepoint_tail_is_the_exact_one(k: int) -> None:
    rng = np.random.default_rng(4)
    shares = rng.beta(2.0, 1.0, 120)
    exact = np.ones(1)
    for share in shares:
        exact = np.convolve(exact, [1 - share, share])
    total = SumOfCounts(np.stack([1 - shares, shares], axis=1))
    assert total.at_most(k) == pytest.approx(exact[: k + 1].sum(), rel=0.01)
    assert total.at_least(k) == pytest.approx(exact[k:].sum(), rel=0.01)


def test_the_ends_of_a_sum_are_certain() -> None:
    total = SumOfCounts(np.array([[0.5, 0.5], [0.2, 0.8]]))
    assert total.at_least(0) == 1.0
    assert total.at_most(2) == 1.0
    assert total.at_least(3) == 0.0
    assert total.at_most(-1) == 0.0


def test_questions_that_never_waver_make_a_prior_of_two_horns() -> None:
    right = np.array([14] * 70 + [0] * 30)
    prior = fit_prior(right, np.full(100, 14))
    assert prior.a < 1
    assert prior.b < 1


def test_five_points_on_one_night_are_found_in_120_greedy_questions() -> None:
    shares = greedy_shares(120)
    tonight = nights(dropped(shares, 6), 1, seed=9)
    verdict = judge_accuracy(nights(shares, 14), tonight, changed=False)
    assert verdict.word == "regressed"
    assert verdict.low_points <= -5 <= verdict.high_points


def test_the_same_accuracy_stays_quiet() -> None:
    shares = greedy_shares(198)
    every = nights(shares, 54)
    words = {judge_accuracy(every[:t], [every[t]], changed=False).word for t in range(14, 54)}
    assert words == {"ok"}


def test_a_harmless_upgrade_that_settles_some_questions_anew_is_no_regression() -> None:
    shares = greedy_shares(198)
    rng = np.random.default_rng(6)
    redrawn = np.where(rng.random(198) < 0.04, rng.permutation(shares), shares)
    verdict = judge_accuracy(nights(shares, 14), nights(redrawn, 5, seed=8), changed=True)
    assert verdict.word == "ok"


def test_a_gain_is_an_improvement() -> None:
    shares = greedy_shares(198)
    better = shares.copy()
    better[np.flatnonzero(shares == 0)[:30]] = 1.0
    verdict = judge_accuracy(nights(shares, 14), nights(better, 1, seed=5), changed=True)
    assert verdict.word == "improved"


def test_the_flipped_questions_are_named() -> None:
    shares = np.array([1.0] * 8 + [0.0] * 4)
    after = shares.copy()
    after[2], after[9] = 0.0, 1.0
    lost, gained = flipped(nights(shares, 14), nights(after, 1)[0])
    assert lost == ("q0002",)
    assert gained == ("q0009",)


def test_a_small_drop_that_stays_is_found_over_several_nights() -> None:
    shares = np.full(198, 0.7)
    history = nights(shares, 20)
    recent = nights(np.full(198, 0.62), 5, seed=13)
    assert judge_accuracy(history, recent[-1:], changed=False).word == "ok"
    verdict = judge_accuracy(history, recent, changed=False)
    assert verdict.word == "regressed"
    assert verdict.window > 1


def test_with_two_nights_of_history_nothing_is_claimed() -> None:
    shares = greedy_shares(50)
    verdict = judge_accuracy(nights(shares, 2), nights(shares * 0, 1), changed=False)
    assert verdict.word == "inconclusive"


def test_judged_again_the_answers_give_the_same_verdict() -> None:
    shares = greedy_shares(120)
    history, recent = nights(shares, 14), nights(dropped(shares, 6), 3)
    once = judge_accuracy(history, recent, changed=True)
    assert once == judge_accuracy(history, recent, changed=True)

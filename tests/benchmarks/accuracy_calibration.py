"""What accuracy verdicts are worth, against simulated nights of greedy questions.

    python -m tests.benchmarks.accuracy_calibration

Seven questions in ten are always right, two always wrong, one wavers. Said are the share of
benchmarks with a false alarm within 40 nights, without and with a harmless upgrade on the first of
them (5 % of the questions settle anew, none the worse on average), and the smallest drop that one
night finds in four of five cases after 14 nights: beside exact McNemar against the last night at
the same level of error.
"""

from __future__ import annotations

import argparse

import numpy as np

from nightbench.accuracy.comparison import mcnemar_exact
from nightbench.verdicts.accuracy import NIGHTLY_P, Answers, judge_accuracy

HISTORY, NIGHTS = 14, 40
SIZES = (120, 198, 1319)


def shares_of(n: int, rng: np.random.Generator) -> np.ndarray:
    """Each question's chance of a right answer."""
    kind = rng.random(n)
    return np.where(kind < 0.7, 1.0, np.where(kind < 0.9, 0.0, rng.random(n)))


def answers(shares: np.ndarray, rng: np.random.Generator) -> Answers:
    """One night."""
    right = (rng.random(len(shares)) < shares).astype(int).tolist()
    names = [str(question) for question in range(len(shares))]
    return Answers(right=dict(zip(names, right, strict=True)), asked=dict.fromkeys(names, 1))


def false_alarm(n: int, rng: np.random.Generator, *, upgrade: bool) -> bool:
    """Whether 40 nights of nothing hold a verdict; an upgrade is accepted after five of them."""
    shares = shares_of(n, rng)
    history = [answers(shares, rng) for _ in range(HISTORY)]
    if upgrade:
        shares = np.where(rng.random(n) < 0.05, shares_of(n, rng), shares)
    recent: list[Answers] = []
    for night in range(NIGHTS):
        recent.append(answers(shares, rng))
        accepted = not upgrade or night >= 5
        if judge_accuracy(history, recent[-5:], changed=not accepted).word == "regressed":
            return True
        if accepted and len(recent) > 5:
            history.append(recent.pop(0))
    return False


def found(n: int, points: float, rng: np.random.Generator) -> tuple[bool, bool]:
    """Whether a drop is found on its night: by history (at a changed provenance), by McNemar."""
    shares = shares_of(n, rng)
    history = [answers(shares, rng) for _ in range(HISTORY)]
    # So many right answers in a hundred questions are lost, by chance one more or less.
    lost = (rng.random(n) < points / 100 / 0.7) & (shares == 1.0)
    tonight = answers(np.where(lost, 0.0, shares), rng)
    verdict = judge_accuracy(history, [tonight], changed=False)
    pairs = [(history[-1].right[q], tonight.right[q]) for q in tonight.asked]
    lost_pairs = sum(one > two for one, two in pairs)
    gained = sum(one < two for one, two in pairs)
    mcnemar = lost_pairs > gained and mcnemar_exact(lost_pairs, gained) <= 2 * NIGHTLY_P
    return verdict.word == "regressed", mcnemar


def smallest(n: int, runs: int, rng: np.random.Generator, which: int) -> float:
    """The smallest drop, in steps of half a point, that is found in 80 % of runs."""
    for half_points in range(2, 60):
        points = half_points / 2
        if np.mean([found(n, points, rng)[which] for _ in range(runs)]) >= 0.8:
            return points
    return float("nan")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=20263)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    for n in SIZES:
        runs = args.runs if n < 1000 else args.runs // 4
        quiet = np.mean([false_alarm(n, rng, upgrade=False) for _ in range(runs)])
        upgraded = np.mean([false_alarm(n, rng, upgrade=True) for _ in range(runs)])
        history, mcnemar = (smallest(n, max(runs // 4, 40), rng, which) for which in (0, 1))
        print(
            f"N = {n}: false alarms in {NIGHTS} nights {quiet:.1%}, after a harmless upgrade "
            f"{upgraded:.1%} ({runs} benchmarks each); smallest drop found on one night: "
            f"{history} points by history, {mcnemar} by McNemar",
            flush=True,
        )


if __name__ == "__main__":
    main()

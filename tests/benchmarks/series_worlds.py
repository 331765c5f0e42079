"""Worlds of two nodes and twelve series over 60 nights, and how many series were judged right.

    python -m tests.benchmarks.series_worlds --worlds 200

Each series is one story: a quiet one, steps of 3, 5 and 10 %, a drift, an accepted gain with a step
after it, outliers, gaps, a short history, a harmless upgrade. One node is slow for four nights. A
series is judged right when its event is found in time, with an interval that holds its size, is not
let go of while it lasts, and nothing is called a regression or an improvement that was none.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from nightbench.verdicts.replay import JudgedRow, judge_series
from nightbench.verdicts.series import log_pct
from nightbench.verdicts.series_file import SeriesRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NIGHTS = 60
CLOSING = 4  # nights that an event may take to close
Effect = Callable[[int], float]


@dataclass(frozen=True, kw_only=True)
class Happening:
    """What happened: `kind` from `first` to `last`, to be found on night `by` at the latest."""

    kind: str
    first: int
    last: int
    by: int
    size_pct: float | None


@dataclass(kw_only=True)
class Story:
    """One series: its effect each night (plain per cent), what ran, what is missing."""

    name: str
    effect: Floats = field(default_factory=lambda: np.zeros(NIGHTS))
    provenance: list[int] = field(default_factory=lambda: [0] * NIGHTS)
    accepted: list[int] = field(default_factory=lambda: [0] * NIGHTS)
    missing: set[int] = field(default_factory=set)
    events: list[Happening] = field(default_factory=list)
    skew: float = 0.6
    outliers: float = 0.0


def stories(rng: np.random.Generator) -> list[Story]:
    """The twelve of a world; the first six live on one node, the others on the slow one."""
    at = lambda low=22, high=36: int(rng.integers(low, high))  # noqa: E731
    return [
        Story(name="quiet"),
        Story(name="quiet, skewed", skew=1.5),
        _step("step 5 %", at(), 5.0, 2),
        _step("step 3 %", at(), 3.0, 9),
        _recovers(at(22, 32), int(rng.integers(9, 13))),
        _drift(at()),
        Story(name="outliers", outliers=0.04),
        _gain_then_step(at(22, 29)),
        _short(rng),
        _harmless(at()),
        Story(name="gaps", missing=set(rng.choice(NIGHTS, 14, replace=False).tolist())),
        _unchanged(at()) if rng.random() < 0.5 else Story(name="quiet on the slow node"),
    ]


def _since(night: int, provenance: int, before: list[int] | None = None) -> list[int]:
    row = list(before or [0] * NIGHTS)
    row[night:] = [provenance] * (NIGHTS - night)
    return row


def _step(name: str, night: int, size: float, later: int) -> Story:
    effect = np.where(np.arange(NIGHTS) >= night, size, 0.0)
    event = Happening(
        kind="regressed", first=night, last=NIGHTS - 1, by=night + later, size_pct=size
    )
    return Story(name=name, effect=effect, provenance=_since(night, 1), events=[event])


def _unchanged(night: int) -> Story:
    story = _step("step 5 %, provenance unchanged", night, 5.0, 3)
    story.provenance = [0] * NIGHTS
    return story


def _recovers(night: int, lasts: int) -> Story:
    end = night + lasts
    nights = np.arange(NIGHTS)
    effect = np.where((nights >= night) & (nights < end), 10.0, 0.0)
    event = Happening(kind="regressed", first=night, last=end - 1, by=night + 1, size_pct=10.0)
    return Story(
        name="step 10 % that recovers",
        effect=effect,
        provenance=_since(end, 2, _since(night, 1)),
        events=[event],
    )


def _drift(night: int) -> Story:
    effect = np.maximum(np.arange(NIGHTS) - night + 1, 0) * 0.2
    event = Happening(
        kind="regressed",
        first=night,
        last=NIGHTS - 1,
        by=min(night + 21, NIGHTS - 1),
        size_pct=None,
    )
    return Story(name="drift", effect=effect, provenance=_since(night, 1), events=[event])


def _gain_then_step(night: int) -> Story:
    accepted, worse = night + 4, night + 14
    nights = np.arange(NIGHTS)
    effect = np.where(nights >= night, -6.0, 0.0)
    effect = np.where(nights >= worse, 100 * (0.94 * 1.05 - 1), effect)
    return Story(
        name="accepted gain, then step 5 %",
        effect=effect,
        provenance=_since(worse, 2, _since(night, 1)),
        accepted=_since(accepted, 1),
        events=[
            Happening(kind="improved", first=night, last=accepted - 1, by=night + 3, size_pct=-6.0),
            Happening(kind="regressed", first=worse, last=NIGHTS - 1, by=worse + 2, size_pct=5.0),
        ],
    )


def _short(rng: np.random.Generator) -> Story:
    first, night = 48, 57
    story = _step("short history, step 10 %", night, 10.0, 1)
    story.missing = set(range(first))
    return story


def _harmless(night: int) -> Story:
    return Story(name="harmless upgrade", provenance=_since(night, 1))


def world_rows(seed: int) -> tuple[list[SeriesRow], dict[str, Story]]:
    """A world as rows of a file, and the story of each target."""
    rng = np.random.default_rng(seed)
    told = stories(rng)
    slow_from = int(rng.integers(42, 50))
    rows: list[SeriesRow] = []
    truth: dict[str, Story] = {}
    for node, part in (("a", told[:6]), ("b", told[6:])):
        shared = _node_nights(rng)
        if node == "b":
            shared[slow_from : slow_from + 4] += log_pct(7.0)
        for story in part:
            target = f"{node}{len(truth)}"
            truth[target] = story
            rows += _target_rows(rng, node, target, story, shared)
    return sorted(rows, key=lambda row: row.night), truth


def _node_nights(rng: np.random.Generator) -> Floats:
    sd, state = float(rng.uniform(0.5, 1.5)), float(rng.standard_normal())
    nights = np.zeros(NIGHTS)
    for night in range(NIGHTS):
        state = 0.3 * state + np.sqrt(1 - 0.09) * rng.standard_normal()
        nights[night] = sd * state - 0.5 * sd * (night % 7 in (5, 6))
    return nights


def _target_rows(
    rng: np.random.Generator, node: str, target: str, story: Story, shared: Floats
) -> list[SeriesRow]:
    level, boot_sd, se = rng.uniform(2.5, 8.0), rng.uniform(0.5, 0.9), rng.uniform(0.4, 1.0)
    lower = bool(rng.random() < 0.5)
    gamma = 4.0 / story.skew**2

    def boots(count: int, effect: float, night: int) -> list[float]:
        boot = boot_sd * (rng.standard_gamma(gamma, count) - gamma) / np.sqrt(gamma)
        boot += np.where(rng.random(count) < 0.01 + story.outliers, rng.uniform(3, 12, count), 0)
        return [value(part, effect, night) for part in boot]

    def value(boot: float, effect: float, night: int) -> float:
        wrong = rng.uniform(3, 12) if rng.random() < 0.01 + story.outliers else 0.0
        bad = boot + se * rng.standard_normal() + wrong + shared[night] + log_pct(effect)
        return float(np.exp(level + (bad if lower else -bad) / 100))

    rows = []
    for night in range(NIGHTS):
        effect = float(story.effect[night])
        base = 0.0 if story.accepted[night] == 0 else -6.0
        ran, accepted = story.provenance[night], story.accepted[night]
        boot = float(boot_sd * (rng.standard_gamma(gamma) - gamma) / np.sqrt(gamma))
        boot += rng.uniform(3, 12) if rng.random() < 0.01 + story.outliers else 0.0
        first = value(boot, effect, night)
        valid = night not in story.missing
        rows.append(
            SeriesRow(
                night=night,
                node=node,
                target=target,
                metric="tpot_ms" if lower else "output_throughput",
                better="lower" if lower else "higher",
                value=first if valid else None,
                se=first * se / 100 if valid else None,
                provenance=f"p{ran}",
                accepted=f"p{accepted}",
                rep=value(boot, effect, night) if valid else None,
                fresh=tuple(boots(6, effect, night)) if valid else (),
                ref=tuple(boots(3, base, night)) if valid and ran != accepted else (),
            )
        )
    return rows


def faults(story: Story, rows: list[JudgedRow]) -> list[str]:
    """What is wrong with a series' verdicts; nothing: it was judged right."""
    at = {row.night: row for row in rows}
    wrong = []
    for night, row in at.items():
        near = [e for e in story.events if e.kind == row.verdict]
        within = any(e.first <= night <= e.last + CLOSING for e in near)
        if row.verdict in ("regressed", "improved") and not within:
            wrong.append(f"called {row.verdict} on night {night}")
    for event in story.events:
        found = [n for n in range(event.first, event.last + 1) if _word(at, n) == event.kind]
        if not found or found[0] > event.by:
            wrong.append(f"{event.kind} not found in time")
            continue
        if event.kind == "regressed":
            lasting = [n for n in range(found[0], event.last + 1) if n in at]
            if any(_word(at, n) != "regressed" for n in lasting):
                wrong.append("let go of")
            row = at[found[0]]
            low, high = row.lo_pct or 0.0, row.hi_pct or 0.0
            if event.size_pct is not None and not low <= event.size_pct <= high:
                wrong.append("size outside its interval")
    return wrong


def _word(at: dict[int, JudgedRow], night: int) -> str:
    return at[night].verdict if night in at else ""


def main() -> None:
    """Judge so many worlds; print the share judged right for each story."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20262)
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    right, told, why = Counter[str](), Counter[str](), Counter[tuple[str, str]]()
    of_twelve, costs = Counter[int](), []
    for world in range(args.worlds):
        rows, truth = world_rows(args.seed * 1000 + world)
        replay = judge_series(rows)
        costs.append(replay.cost)
        good = 0
        for target, story in truth.items():
            wrong = faults(story, [row for row in replay.rows if row.target == target])
            told[story.name] += 1
            right[story.name] += not wrong
            good += not wrong
            why.update((story.name, fault.split(" on night")[0]) for fault in set(wrong))
            if wrong and args.verbose:
                print(world, target, story.name, wrong[:3])
        of_twelve[good] += 1
    for name, count in told.items():
        reasons = "; ".join(f"{fault}: {n}" for (story, fault), n in why.items() if story == name)
        print(f"{right[name] / count:7.1%}  {name} ({count})  {reasons}")
    for good in sorted(of_twelve, reverse=True):
        print(f"{good} of 12: {of_twelve[good] / args.worlds:.1%} of worlds")
    print(f"cost of measuring again: {np.mean(costs) / 12 / NIGHTS:.2f} a target and night")


if __name__ == "__main__":
    main()

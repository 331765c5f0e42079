"""What the verdicts are worth, against simulated nights whose answers are known.

    python -m tests.benchmarks.verdict_calibration --out table.md

prints the table of docs/verdicts.md. `--seed 1` is what thresholds were tuned with; the table is
made with another. `--only WORD` runs the cells whose name holds it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nightbench.verdicts.aligned import medians, newest
from nightbench.verdicts.fleet import Fleet
from nightbench.verdicts.judge import Verdict, judge_night
from nightbench.verdicts.method import Method
from nightbench.verdicts.series import log_pct, plain_pct
from tests.benchmarks.simulated_nights import JUDGED, Noise, World

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

QUIET_NIGHTS = 40
BEFORE = 7  # nights of the history that fixed thresholds look back on
Result = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One experiment: noise, history, what happens afterwards."""

    name: str
    kind: str  # quiet, step, drift, recovery, kept
    noise: Noise = field(default_factory=Noise)
    history: int = 60
    changed: bool = False  # the hit target has a new provenance
    everyone: bool = False  # ... and so have all the others
    size_pct: float = 0.0
    nights: int = QUIET_NIGHTS
    targets_per_node: int = 6


def cells() -> Iterator[Cell]:
    """All of them, in the order of the table."""
    for history in (14, 60):
        for night in (0.5, 1.0, 1.5):
            for within in (0.4, 1.4):
                noise = Noise(night=night, within=within)
                name = f"h{history} night {night} within {within}"
                yield Cell(name=f"quiet {name}", kind="quiet", noise=noise, history=history)
                yield Cell(
                    name=f"harmless {name}",
                    kind="quiet",
                    noise=noise,
                    history=history,
                    changed=True,
                )
    for within in (0.4, 1.4):
        noise = Noise(within=within)
        yield Cell(
            name=f"harmless-all within {within}",
            kind="quiet",
            noise=noise,
            changed=True,
            everyone=True,
        )
        own = Noise(within=within, own_share=0.5)
        loud = Noise(within=within, own_share=0.5, night=1.5)
        for history in (14, 60):
            yield Cell(
                name=f"own-half h{history} within {within}",
                kind="quiet",
                noise=own,
                history=history,
            )
            yield Cell(
                name=f"own-half night 1.5 h{history} within {within}",
                kind="quiet",
                noise=loud,
                history=history,
            )
        yield Cell(
            name=f"alone quiet within {within}", kind="quiet", noise=noise, targets_per_node=1
        )
        yield Cell(
            name=f"alone harmless within {within}",
            kind="quiet",
            noise=noise,
            targets_per_node=1,
            changed=True,
        )
    yield from _steps()
    yield from _lasting()


def _steps() -> Iterator[Cell]:
    for changed in (True, False):
        for history in (14, 60):
            for within in (0.4, 1.4):
                for size in (3.0, 5.0, 10.0):
                    word = "changed" if changed else "unchanged"
                    yield Cell(
                        name=f"step {size:g} % {word} h{history} within {within}",
                        kind="step",
                        noise=Noise(within=within),
                        history=history,
                        changed=changed,
                        size_pct=size,
                        nights=5,
                    )
    for within in (0.4, 1.4):
        noise = Noise(within=within)
        yield Cell(
            name=f"step 5 % alone changed within {within}",
            kind="step",
            noise=noise,
            changed=True,
            size_pct=5.0,
            nights=5,
            targets_per_node=1,
        )
        yield Cell(
            name=f"step 5 % everyone-changed within {within}",
            kind="step",
            noise=noise,
            changed=True,
            everyone=True,
            size_pct=5.0,
            nights=5,
        )
        yield Cell(
            name=f"step 5 % alone unchanged within {within}",
            kind="step",
            noise=noise,
            size_pct=5.0,
            nights=5,
            targets_per_node=1,
        )


def _lasting() -> Iterator[Cell]:
    for history in (14, 60):
        for within in (0.4, 1.4):
            noise = Noise(within=within)
            yield Cell(
                name=f"drift 0.2 % h{history} within {within}",
                kind="drift",
                noise=noise,
                history=history,
                size_pct=0.2,
                nights=30,
            )
    for within in (0.4, 1.4):
        noise = Noise(within=within)
        for size in (3.0, 5.0, 10.0):
            yield Cell(
                name=f"kept {size:g} % within {within}",
                kind="kept",
                noise=noise,
                changed=True,
                size_pct=size,
                nights=25,
            )
        yield Cell(
            name=f"recovery from 10 % within {within}",
            kind="recovery",
            noise=noise,
            changed=True,
            size_pct=10.0,
            nights=16,
        )


@dataclass
class Nightly:
    """The verdicts of the nights after the history, and who was asked to measure again."""

    verdicts: list[list[Verdict]]
    world: World
    history: int
    measured: Floats  # badness as first measured: one row a series, the history's last 7 nights too


def play(cell: Cell, nodes: int, seed: int, effect: Callable[[int], float]) -> Nightly:
    """The history unjudged, then night after night; `effect` is in plain per cent."""
    world = World(nodes=nodes, noise=cell.noise, seed=seed, targets_per_node=cell.targets_per_node)
    fleet = Fleet(world.layout(), capacity=cell.history + cell.nights)
    provenance = np.zeros(world.targets, dtype=np.int64)
    measured = []
    for _ in range(cell.history):
        past = world.next_night(0.0, provenance)
        fleet.add(past)
        measured.append(past.badness)
    measured = measured[-BEFORE:]
    fleet.accepted[:] = 0
    if cell.changed:
        provenance = provenance.copy()
        provenance[slice(None) if cell.everyone else world.hit] = 1
    verdicts = []
    for night in range(cell.nights):
        if cell.kind == "recovery" and night == 10:
            provenance = provenance.copy()
            provenance[world.hit] = 2
        tonight = world.next_night(log_pct(effect(night)), provenance)
        measured.append(tonight.badness)
        verdicts.append(judge_night(fleet, tonight, world.measure, Method()))
    return Nightly(verdicts, world, cell.history, np.stack(measured, axis=1))


def run_cell(cell: Cell, nodes: int, seed: int) -> Result:
    """What the table says of a cell."""
    effect: dict[str, Callable[[int], float]] = {
        "quiet": lambda night: 0.0,
        "step": lambda night: cell.size_pct,
        "kept": lambda night: cell.size_pct,
        "drift": lambda night: cell.size_pct * (night + 1),
        "recovery": lambda night: cell.size_pct if night < 10 else 0.0,
    }
    nightly = play(cell, nodes, seed, effect[cell.kind])
    summary = {
        "quiet": _quiet,
        "step": _step,
        "drift": _drift,
        "kept": _kept,
        "recovery": _recovery,
    }[cell.kind]
    return summary(cell, nightly)


def _quiet(cell: Cell, nightly: Nightly) -> Result:
    world = nightly.world
    series = np.zeros(world.targets * JUDGED, dtype=bool)
    slower = np.zeros(world.targets, dtype=bool)
    targets = np.zeros(world.targets, dtype=bool)
    node = np.zeros(world.targets, dtype=bool)
    for night in nightly.verdicts:
        for verdict in night:
            if verdict.word in ("regressed", "improved"):
                targets[verdict.target] = True
                slower[verdict.target] |= verdict.word == "regressed"
                series[list(verdict.series)] = True
            node[verdict.target] |= verdict.word == "node"
    judged = np.ones(world.targets, dtype=bool)
    if cell.changed and not cell.everyone:
        judged[:] = False
        judged[world.hit] = True
    per_node = series.reshape(world.targets, JUDGED)[judged].mean(axis=1)
    per_node = per_node.reshape(world.nodes, -1).mean(axis=1)
    low, high = _clustered(per_node)
    ordinary = [
        (n, t)
        for n, night in enumerate(nightly.verdicts)
        for t in (v.target for v in night if v.word != "invalid")
        if judged[t]
    ]
    asked = nightly.world.asked
    shift = nightly.history
    boots = sum((n + shift, t) in asked["fresh"] for n, t in ordinary)
    repeats = sum((n + shift, t) in asked["rep"] for n, t in ordinary)
    first = [(shift, t) in asked["ref"] for t in np.flatnonzero(judged)]
    return {
        "series": float(per_node.mean()),
        "low": low,
        "high": high,
        "targets": float(targets[judged].mean()),
        "slower": float(slower[judged].mean()),
        "node": float(node[judged].mean()),
        "repeats": repeats / len(ordinary),
        "boots": boots / len(ordinary),
        "first_controls": float(np.mean(first)) if cell.changed else float("nan"),
        **({} if cell.changed else _fixed_thresholds(nightly.measured)),
    }


def _fixed_thresholds(measured: Floats) -> Result:
    """The share of series that are 5 % worse once than the last night, than the median of seven."""
    limit = log_pct(5.0)
    last, of_seven = np.zeros(len(measured), dtype=bool), np.zeros(len(measured), dtype=bool)
    for night in range(BEFORE, measured.shape[1]):
        window, tonight = measured[:, night - BEFORE : night], measured[:, night]
        of_seven |= tonight - medians(window) > limit
        before = newest(window, np.isfinite(window), 1).values[:, 0]
        last |= tonight - before > limit
    return {"fixed_last": float(last.mean()), "fixed_median": float(of_seven.mean())}


def _clustered(per_node: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of a share, nodes drawn as wholes."""
    mean = float(per_node.mean())
    half = 1.96 * float(per_node.std(ddof=1)) / np.sqrt(len(per_node))
    return max(0.0, mean - half), mean + half


def _found_on(nightly: Nightly) -> dict[int, tuple[int, Verdict]]:
    """For each hit target: on which of its measured nights its regression was found (0: the first
    one), and that verdict."""
    hit, found = set(nightly.world.hit.tolist()), {}
    measured: Counter[int] = Counter()
    for night in nightly.verdicts:
        for verdict in night:
            if verdict.word == "regressed" and verdict.target in hit:
                found.setdefault(verdict.target, (measured[verdict.target], verdict))
            measured[verdict.target] += verdict.word != "invalid"
    return found


def _step(cell: Cell, nightly: Nightly) -> Result:
    found = _found_on(nightly)
    nodes = nightly.world.nodes
    night = np.array([number for number, _ in found.values()])
    true = log_pct(cell.size_pct)
    sizes = [verdict.size for _, verdict in found.values() if verdict.size]
    inside = [size.low <= true <= size.high for size in sizes]
    return {
        **{f"by{n}": float((night < n).sum() / nodes) for n in (1, 2, 3, 5)},
        "size": plain_pct(float(np.median([s.value for s in sizes]))) if sizes else float("nan"),
        "cover": float(np.mean(inside)) if sizes else float("nan"),
        "width": float(np.median([s.high - s.low for s in sizes])) if sizes else float("nan"),
        "cost": (
            nightly.world.cost["rep"]
            + 6 * nightly.world.cost["fresh"]
            + 6 * nightly.world.cost["ref"]
        )
        / nodes
        / cell.nights,
    }


def _drift(cell: Cell, nightly: Nightly) -> Result:
    found = _found_on(nightly)
    nights = [number + 1 for number, _ in found.values()]
    nights += [cell.nights + 1] * (nightly.world.nodes - len(found))
    return {"median": float(np.median(nights)), "p90": float(np.quantile(nights, 0.9))}


def _kept(cell: Cell, nightly: Nightly) -> Result:
    found, lost, open_now = _found_on(nightly), set(), set()
    for night in nightly.verdicts:
        for verdict in night:
            if verdict.target in open_now and verdict.word not in ("regressed", "invalid"):
                lost.add(verdict.target)
            if verdict.target in found and verdict.word == "regressed":
                open_now.add(verdict.target)
    return {"found": len(found) / nightly.world.nodes, "kept": 1 - len(lost) / max(len(found), 1)}


def _recovery(cell: Cell, nightly: Nightly) -> Result:
    open_before = {t for t, (n, _) in _found_on(nightly).items() if n < 10}
    closed: dict[int, int] = {}
    for number, night in enumerate(nightly.verdicts):
        for verdict in night:
            if verdict.word == "recovered":
                closed.setdefault(verdict.target, number)
    late = [closed.get(target, 99) - 9 for target in open_before]
    early = sum(value <= 0 for value in late) / len(late)
    return {f"by{n}": sum(0 < value <= n for value in late) / len(late) for n in (1, 2, 3, 4)} | {
        "early": early
    }


def main() -> None:
    """Run the cells, print as they come."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=400)
    parser.add_argument("--seed", type=int, default=20261)
    parser.add_argument("--only", default="")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    lines = []
    for index, cell in enumerate(cells()):
        if args.only not in cell.name:
            continue
        began = time.perf_counter()
        result = run_cell(cell, args.nodes, args.seed * 1000 + index)
        line = {"cell": cell.name, **{k: round(v, 4) for k, v in result.items()}}
        lines.append({**line, "setting": asdict(cell)})
        print(json.dumps(line), f"{time.perf_counter() - began:.0f} s", flush=True)
        if args.out:
            args.out.write_text("\n".join(json.dumps(x) for x in lines), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

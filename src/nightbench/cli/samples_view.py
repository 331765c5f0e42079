"""A run's questions and answers in a terminal, and what changed in them from one run to another."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from rich.console import Console
from rich.text import Text

from nightbench.accuracy.comparison import AccuracyComparison, Flip, compare
from nightbench.accuracy.sample_text import Which, change_text, chosen_samples, sample_text
from nightbench.errors import BadInput
from nightbench.history.reading import History
from nightbench.history.run_results import KeptSample, read_run, read_samples
from nightbench.records import AccuracySample
from nightbench.terminal_text import safe_line

Asked = dict[tuple[str, str], list[AccuracySample]]  # by target and benchmark
_SEED = 20  # of the permutations where questions were repeated: the same p-value each time


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which samples to show: of this run, and only of this target or benchmark if they are said."""

    run_id: str
    target: str | None
    benchmark: str | None
    limit: int


def print_samples(console: Console, history: History, chosen: Chosen, which: str) -> None:
    """Print the samples of one kind. Raises BadInput where the run has no samples of the choice."""
    for (target, benchmark), samples in _read(history, chosen).items():
        found = list(chosen_samples(samples, cast(Which, which)))
        console.print(_title(target, benchmark, f"{which} {len(found)} of {len(samples)}"))
        for sample in found[: chosen.limit]:
            console.print(sample_text(sample), soft_wrap=True)
        _say_what_is_left(console, len(found), chosen.limit)


def print_flipped(console: Console, history: History, chosen: Chosen, against: str | None) -> None:
    """Print what each target answered otherwise than in `against`, or in its run before."""
    for (target, benchmark), after in _read(history, chosen).items():
        other = against or _run_before(history, chosen.run_id, target, benchmark)
        kept = read_samples(history, other, target=target, benchmark=benchmark) if other else []
        before = [one.sample for one in kept]
        if other is None or not before:
            told = f"no replies in {other}" if other else "no earlier run"
            console.print(_title(target, benchmark, told))
            continue
        if _asked_otherwise(history, chosen.run_id, other, target, benchmark):
            told = f"asked differently in {other} (another measurement key): not comparable"
            console.print(_title(target, benchmark, told))
            continue
        compared = compare(before, after, rng=random.Random(_SEED))  # noqa: S311
        console.print(_title(target, benchmark, f"against {other}"))
        console.print(_summary(compared))
        flips = (*compared.lost, *compared.gained)
        for flip in flips[: chosen.limit]:
            console.print(_flip_text(flip, before, after), soft_wrap=True)
        _say_what_is_left(console, len(flips), chosen.limit)


def _read(history: History, chosen: Chosen) -> Asked:
    kept = read_samples(history, chosen.run_id, target=chosen.target, benchmark=chosen.benchmark)
    if not kept:
        of = [name for name in (chosen.target, chosen.benchmark) if name]
        raise BadInput(
            f"{chosen.run_id} has no samples" + (f" of {' and '.join(of)}" if of else ""),
            hint=f"`nightbench show {chosen.run_id}` says what it has.",
        )
    return _by_target_and_benchmark(kept)


def _by_target_and_benchmark(kept: Iterable[KeptSample]) -> Asked:
    asked: Asked = defaultdict(list)
    for one in kept:
        asked[one.target, one.sample.benchmark].append(one.sample)
    return asked


def _run_before(history: History, run_id: str, target: str, benchmark: str) -> str | None:
    found = history.rows("previous_run", run_id=run_id, target=target, benchmark=benchmark).rows
    return str(found[0][0]) if found else None


def _asked_otherwise(
    history: History, run_id: str, other: str, target: str, benchmark: str
) -> bool:
    """Whether the settings of a benchmark were not the same in two runs that both have a result."""

    def key(run: str) -> set[str]:
        own = (of for of in read_run(history, run).targets if of.target == target)
        rows = (row for of in own for row in of.accuracy)
        return {row.measurement_key for row in rows if row.benchmark == benchmark}

    now, then = key(run_id), key(other)
    return bool(now and then) and not now & then


def _flip_text(
    flip: Flip, before: Iterable[AccuracySample], after: Iterable[AccuracySample]
) -> Text:
    """The first pair of answers that differ; repeats are paired by their number."""
    earlier = {s.repeat: s for s in before if s.sample_id == flip.sample_id}
    pairs = [
        (earlier[s.repeat], s)
        for s in after
        if s.sample_id == flip.sample_id and s.repeat in earlier
    ]
    differing = [pair for pair in pairs if pair[0].correct != pair[1].correct]
    kind, style = ("lost", "bold red") if flip.after < flip.before else ("gained", "bold green")
    text = Text(f"{kind}  ", style=style)
    one, two = (differing or pairs)[0] if pairs else (None, None)
    return text if one is None or two is None else text.append_text(change_text(one, two))


def _summary(compared: AccuracyComparison) -> Text:
    return Text(
        f"{compared.accuracy_before:.1%} → {compared.accuracy_after:.1%} "
        f"over the {compared.num_questions} questions both were asked: "
        f"{len(compared.lost)} lost, {len(compared.gained)} gained, p = {compared.p_value:.2g}; "
        f"minimum detectable drop {compared.minimum_detectable_drop:.1%}\n",
        style="dim",
    )


def _title(target: str, benchmark: str, told: str) -> Text:
    remark = (f"{safe_line(told)}\n", "dim")
    return Text.assemble("\n", (safe_line(target), "bold"), f"  {safe_line(benchmark)}  ", remark)


def _say_what_is_left(console: Console, found: int, limit: int) -> None:
    if found > limit:
        console.print(f"{found - limit} more: --limit {found}", style="dim")

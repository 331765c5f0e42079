"""The history that a night is judged by: columns of nights for many targets at once.

A target has one or more series (its primary one, and a composite a metric). What is stored of a
night is what was measured and what was decided; splits, baselines and variances are computed from
it each night and never stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nightbench.verdicts.node_split import group_members
from nightbench.verdicts.series import log_pct

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightbench.verdicts.events import Event
    from nightbench.verdicts.method import Method

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Flags = NDArray[np.bool_]

LOOK_BACK = 400  # nights; 60 eligible ones are nearly always among them


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which series there are, and whose. `group`: series that may speak for each other (the same
    metric on the same node); `group_node`: the node of each group. `min_effect`: from which change
    a series is spoken of, in log per cent; None: from the method's, all of them."""

    series_target: Integers
    series_group: Integers
    group_node: Integers
    min_effect: Floats | None = None

    @property
    def targets(self) -> int:
        """How many targets there are."""
        return int(self.series_target.max()) + 1

    @property
    def series(self) -> int:
        """How many series there are."""
        return len(self.series_target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """One night as first measured. `badness` is NaN where nothing valid was measured;
    `provenance` is -1 where the target was not measured at all."""

    badness: Floats  # one a series
    se: Floats  # the standard error of each, in log per cent; NaN: unknown
    provenance: Integers  # one a target
    accepted: Integers  # what had been accepted by the start of the night
    # Targets of which a person has accepted what is open, whatever changed: None, nobody did.
    accepts: Flags | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A provenance that nobody has accepted yet."""

    provenance: int
    first: int
    equivalent: int = 0  # nights on which it was equivalent to the accepted one
    pairs: int = 0  # of controls so far


class Fleet:
    """The columns. `judge.judge_night` adds one night at a time."""

    def __init__(self, layout: Layout, capacity: int = 64) -> None:
        targets, series = layout.targets, layout.series
        self.layout = layout
        self.members = group_members(layout.series_group)
        order = np.argsort(layout.series_target, kind="stable")
        bounds = np.searchsorted(layout.series_target[order], np.arange(targets + 1))
        self.rows_of = [order[bounds[t] : bounds[t + 1]] for t in range(targets)]
        self.node_of = np.zeros(targets, dtype=np.int64)
        self.node_of[layout.series_target] = layout.group_node[layout.series_group]
        self.nodes = int(layout.group_node.max()) + 1
        self.nights = 0

        self.badness = np.full((series, capacity), np.nan)  # as used: replaced by fresh values
        self.ref = np.full((series, capacity), np.nan)  # controls: mean of the accepted one
        self.boots = np.ones((targets, capacity), dtype=np.int64)  # that `badness` averages
        self.ref_boots = np.zeros((targets, capacity), dtype=np.int64)
        self.pending = np.zeros((targets, capacity), dtype=bool)  # not an accepted provenance
        self.in_event = np.zeros((targets, capacity), dtype=bool)
        self.notice = np.zeros((targets, capacity), dtype=bool)
        self.epoch = np.zeros((targets, capacity), dtype=np.int64)
        self.node_shift = np.zeros((self.nodes, capacity))  # of an open node event

        self.se_squared = np.full(series, np.nan)  # running mean
        self.boot_ss = np.zeros(series)
        self.boot_df = np.zeros(series)
        self.epoch_now = np.zeros(targets, dtype=np.int64)
        self.watch_from = np.zeros(targets, dtype=np.int64)
        self.accepted = np.full(targets, -1, dtype=np.int64)
        self.equivalent: list[frozenset[int]] = [frozenset()] * targets
        self.events: list[Event | None] = [None] * targets
        self.candidates: list[Candidate | None] = [None] * targets
        self.node_events: list[Event | None] = [None] * self.nodes
        self.node_watch_from = np.zeros(self.nodes, dtype=np.int64)

    def add(self, night: Night) -> int:
        """Append the night as first measured; its column."""
        if self.nights == self.badness.shape[1]:
            self._grow()
        column = self.nights
        self.nights += 1
        self.badness[:, column] = night.badness
        self.epoch[:, column] = self.epoch_now
        squared = np.square(night.se)
        known = np.isfinite(squared)
        mean = np.where(np.isfinite(self.se_squared), self.se_squared, squared)
        self.se_squared = np.where(known, mean + 0.1 * (squared - mean), self.se_squared)
        return column

    def min_effects(self, method: Method) -> Floats:
        """From which change each series is spoken of, in log per cent."""
        if self.layout.min_effect is not None:
            return self.layout.min_effect
        return np.full(self.layout.series, log_pct(method.min_effect_pct))

    def accept_node(self, node: int) -> None:
        """What the machine does since its open event is how it is from now on."""
        event = self.node_events[node]
        if event is None:
            return
        for target in np.flatnonzero(self.node_of == node).tolist():
            self.start_epoch(target, event.since)
        self.node_events[node] = None
        self.node_shift[node, event.since :] = 0.0
        self.node_watch_from[node] = event.since

    def start_epoch(self, target: int, first: int) -> None:
        """From that night on the target's level is a new one, and accepted."""
        self.epoch_now[target] += 1
        since = slice(first, self.nights)
        self.epoch[target, since] = self.epoch_now[target]
        self.pending[target, since] = False
        self.in_event[target, since] = False
        self.watch_from[target] = first
        self.events[target] = None
        self.candidates[target] = None

    def _grow(self) -> None:
        def doubled(table: NDArray[np.generic], fill: float) -> NDArray[np.generic]:
            return np.concatenate([table, np.full_like(table, fill)], axis=1)

        for name in ("badness", "ref"):
            setattr(self, name, doubled(getattr(self, name), np.nan))
        for name in ("pending", "in_event", "notice", "epoch", "node_shift", "ref_boots"):
            setattr(self, name, doubled(getattr(self, name), 0))
        self.boots = np.concatenate([self.boots, np.ones_like(self.boots)], axis=1)

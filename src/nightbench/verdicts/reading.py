"""The history read anew for one night: split, baseline, spread and windows of every series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nightbench.verdicts.aligned import newest
from nightbench.verdicts.fleet import LOOK_BACK, Fleet
from nightbench.verdicts.node_split import Split, split_nights
from nightbench.verdicts.variance import Spread, spread_of
from nightbench.verdicts.windows import Windows, build_windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightbench.verdicts.method import Method

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything a target's night is judged by. Columns count from `first`; tonight is the last."""

    first: int
    own: Floats
    variances: Floats  # of each night's own part
    uneven: Floats  # tonight: what a slow node adds, one a series
    split: Split
    spread: Spread
    windows: Windows
    alone: Flags


def read_history(fleet: Fleet, method: Method) -> Reading:
    """Read what is known up to tonight, the newest column of the fleet."""
    first = max(0, fleet.nights - LOOK_BACK)
    span = slice(first, fleet.nights)
    target = fleet.layout.series_target
    badness = fleet.badness[:, span]
    finite = np.isfinite(badness)
    back = (fleet.epoch_now[:, None] - fleet.epoch[:, span])[target]
    calm = (~fleet.pending[:, span] & ~fleet.in_event[:, span])[target] & finite
    # Among few nights one that was noticed would be half of the level it is held against.
    few = calm.sum(axis=1) <= method.fewest_nights + 1
    calm &= ~(fleet.notice[:, span][target] & few[:, None])
    trusted = calm & _long_enough(calm, back, method.fewest_nights)
    split = split_nights(badness, trusted, np.minimum(back, 5), fleet.members, method)
    own = badness - split.node
    before = np.arange(own.shape[1]) < own.shape[1] - 1
    eligible = calm & before
    supported = (eligible & (split.support > 0)).sum(axis=1)
    alone = supported * 2 <= eligible.sum(axis=1)
    mean_support = np.where(eligible, split.support, 0).sum(axis=1) / np.maximum(
        eligible.sum(axis=1), 1
    )
    spread = spread_of(
        newest(own - split.offsets, eligible, method.baseline_nights),
        se_squared=np.nan_to_num(fleet.se_squared, nan=0.25),
        alone=alone,
        support=mean_support,
        boot_ss=fleet.boot_ss,
        boot_df=fleet.boot_df,
        method=method,
    )
    uneven = _uneven(fleet, span, method)[target]
    variances = _night_variances(fleet, span, split, spread, alone) + uneven + split.unruly
    past = newest(own, eligible & (back == 0), method.baseline_nights + max(method.windows))
    tested = finite & (np.arange(first, fleet.nights) >= fleet.watch_from[target][:, None])
    windows = build_windows(own, variances, tested=tested, past=past, spread=spread, method=method)
    return Reading(first, own, variances, uneven[:, -1], split, spread, windows, alone)


def _long_enough(calm: Flags, back: Integers, fewest: int) -> Flags:
    """Nights of epochs that hold enough calm nights before tonight to have a level."""
    enough = np.zeros_like(calm)
    for epoch in range(int(np.minimum(back, 5).max()) + 1):
        inside = np.minimum(back, 5) == epoch
        count = (calm & inside)[:, :-1].sum(axis=1)
        enough |= inside & (count >= fewest)[:, None]
    return enough


def _night_variances(
    fleet: Fleet, span: slice, split: Split, spread: Spread, alone: Flags
) -> Floats:
    """The variance of each night's own part: fewer boots, or no neighbour that night, is more."""
    target = fleet.layout.series_target
    boots = fleet.boots[:, span][target]
    variances = spread.night[:, None] + spread.boot[:, None] / boots
    shared = np.where(split.shared_by >= 3, split.shared, np.nan)
    known = np.isfinite(shared).any(axis=1)
    spread_of_node = np.ones(len(shared))
    spread_of_node[known] = np.nanvar(shared[known], axis=1)
    missing = (split.support == 0) & ~alone[:, None]
    return np.asarray(variances + missing * spread_of_node[fleet.layout.series_group][:, None])


def _uneven(fleet: Fleet, span: slice, method: Method) -> Floats:
    """A slow node does not slow every target alike: a share of its shift is uncertainty."""
    return np.asarray((method.node_uneven * fleet.node_shift[:, span][fleet.node_of]) ** 2)

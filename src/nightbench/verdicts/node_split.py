"""What of a night is the node's: read from the node's other targets.

Every target of a node runs on the same machine in the same night, so its neighbours are a control
that costs nothing (control variates: CUPED, Deng et al. 2013). A night is fitted additively,
badness = target's offset + the node's night + the target's own deviation, by sweeping robust
centres (Tukey's median polish). The node's part of one target's night is the centre of the *other*
trusted targets' deviations: a target never explains itself away.

The centre is the mean of those neighbours that lie within 2.5 sd of their median. The plain median
of five throws away a third of what they know; the plain mean would pass on a fifth of whatever
happened to one of them.

Offsets are fitted anew over the same nights each time, for all nights alike. A night's own part
therefore never carries an offset that was since corrected, and what is held against each other,
window and baseline, was split by one set of offsets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightbench.verdicts.method import Method

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Flags = NDArray[np.bool_]

_SWEEPS = 2


@dataclass(frozen=True, slots=True)
class Split:
    """A night in two parts, for each series (rows) and night (columns)."""

    node: Floats  # what the neighbours say about the node, 0 where nobody says anything
    support: Integers  # how many neighbours say it
    unruly: Floats  # the variance of `node` beyond the usual, where they lie far apart
    offsets: Floats  # each series' level while its epoch lasts
    shared: Floats  # one row a group: the centre of all its trusted members
    shared_by: Integers  # of how many


def group_members(group: Integers) -> Integers:
    """Which series belong to each group: one row a group, padded with -1."""
    size = np.bincount(group)
    members = np.full((len(size), int(size.max())), -1, dtype=np.int64)
    order = np.argsort(group, kind="stable")
    first = np.concatenate(([0], np.cumsum(size)[:-1]))
    members[group[order], np.arange(len(group)) - first[group[order]]] = order
    return members


def split_nights(
    values: Floats, trusted: Flags, epochs_back: Integers, members: Integers, method: Method
) -> Split:
    """Split every night of every series.

    `trusted`: the nights whose value may speak for the node. `epochs_back`: 0 for the nights of the
    series' running epoch, 1 for the one before: each has an offset of its own.
    """
    usable = trusted & np.isfinite(values)
    present = members >= 0
    rows = np.where(present, members, 0)
    node = np.zeros_like(values)
    for _ in range(_SWEEPS):
        offsets = _offsets(values - node, usable, epochs_back)
        deviations = np.where(usable, values - offsets, np.nan)
        stacked = np.where(present[:, :, None], deviations[rows], np.nan)
        shared, shared_by = _centre_of_all(stacked)
        everyone = np.nan_to_num(shared)[:, None, :]  # good enough for the next offsets
        node[members[present]] = np.broadcast_to(everyone, stacked.shape)[present]
    pilot, support = _centre_of_the_others(stacked)
    centre, support, beyond = _trimmed(stacked, pilot, support, method)
    node[members[present]] = centre[present]
    unruly = np.zeros_like(values)
    unruly[members[present]] = beyond[present]
    counts = np.zeros(values.shape, dtype=np.int64)
    counts[members[present]] = support[present]
    offsets = _offsets(values - node, usable, epochs_back)
    return Split(node, counts, unruly, offsets, shared, shared_by)


def _offsets(values: Floats, usable: Flags, epochs_back: Integers) -> Floats:
    """The mean of each series over the usable nights of each epoch, spread over its nights."""
    offsets = np.zeros_like(values)
    for back in range(int(epochs_back.max()) + 1):
        inside = epochs_back == back
        used = usable & inside
        count = used.sum(axis=1)
        mean = np.where(used, values, 0.0).sum(axis=1) / np.maximum(count, 1)
        offsets = np.where(inside, mean[:, None], offsets)
    return offsets


def _centre_of_the_others(stacked: Floats) -> tuple[Floats, Integers]:
    """For each member of a group the median of the others, from one sort: drop its own rank."""
    order = np.argsort(stacked, axis=1)  # NaN last
    ordered = np.take_along_axis(stacked, order, 1)
    rank = np.argsort(order, axis=1)
    mine = np.isfinite(stacked)
    others = mine.sum(axis=1)[:, None, :] - mine
    rank = np.where(mine, rank, stacked.shape[1])
    total = np.zeros_like(stacked)
    for position in ((others - 1) // 2, others // 2):
        place = np.maximum(position, 0)
        place = np.minimum(place + (place >= rank), stacked.shape[1] - 1)
        total += np.take_along_axis(ordered, place, 1)
    return np.where(others > 0, total / 2, 0.0), others


def _trimmed(
    stacked: Floats, pilot: Floats, support: Integers, method: Method
) -> tuple[Floats, Integers, Floats]:
    """The mean of the other members within some sd of their median (the median of up to two), of
    how many, and the variance that it has beyond the usual one where they lie far apart."""
    away = np.abs(stacked - pilot)
    scale = 1.4826 * float(np.nanmedian(away)) if np.isfinite(away).any() else 1.0
    scale = max(scale, 1e-9)
    total, kept, apart = np.zeros_like(stacked), np.zeros_like(support), np.zeros_like(stacked)
    for member in range(stacked.shape[1]):
        deviation = stacked[:, member, None, :]
        distance = np.abs(deviation - pilot) / scale
        distance[:, member] = np.nan
        near = distance <= method.split_clip_sd
        total += np.where(near, deviation, 0.0)
        kept += near
        apart += np.nan_to_num(np.minimum(distance, method.clip_sd) ** 2)
    centre = np.where(kept > 0, total / np.maximum(kept, 1), pilot)
    few = support <= 2
    beyond = np.maximum(apart / np.maximum(support, 1) - method.unruly, 0.0) * scale**2
    count = np.where(few, support, np.maximum(kept, 1))
    return np.where(few, pilot, centre), count, beyond / np.maximum(count, 1)


def _centre_of_all(stacked: Floats) -> tuple[Floats, Integers]:
    """The median of all trusted members of each group, and how many there are."""
    ordered = np.sort(stacked, axis=1)
    count = np.isfinite(stacked).sum(axis=1)
    total = np.zeros_like(ordered[:, 0])
    for place in (np.maximum(count - 1, 0) // 2, np.minimum(count // 2, stacked.shape[1] - 1)):
        total += np.take_along_axis(ordered, place[:, None, :], 1)[:, 0]
    return np.where(count > 0, total / 2, np.nan), count

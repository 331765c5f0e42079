"""The node's own events: what neighbours share is the node's, and no target's regression."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from nightbench.verdicts.aligned import newest
from nightbench.verdicts.events import Event, follow, looks_recovered, size_given_found
from nightbench.verdicts.method import Method
from nightbench.verdicts.series import log_pct
from nightbench.verdicts.variance import spread_of
from nightbench.verdicts.windows import Windows, build_windows, evaluate, thresholds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightbench.verdicts.fleet import Fleet
    from nightbench.verdicts.reading import Reading
    from nightbench.verdicts.variance import Spread

    Floats = NDArray[np.float64]

_FEWEST_TARGETS = 3
_NODE_METHOD = Method(windows=(1, 2, 3, 5))


def judge_nodes(fleet: Fleet, reading: Reading, method: Method) -> list[int]:
    """Open, follow and close the nodes' events for tonight; the nodes that are slow (or fast).

    A node has an event where the centre of at least three trusted targets has moved by
    `node_min_effect_pct` and most of them moved with it.
    """
    span = slice(reading.first, fleet.nights)
    nightly = node_series(fleet, reading)
    finite = np.isfinite(nightly)
    calm = finite & (fleet.node_shift[:, span] == 0)
    before = np.arange(nightly.shape[1]) < nightly.shape[1] - 1
    own_method = replace(
        _NODE_METHOD, alarm_p=method.node_p, screen_p=(method.node_p,) * 4, improved_p=method.node_p
    )
    nodes = fleet.nodes
    past = newest(nightly, calm & before, own_method.baseline_nights + max(own_method.windows))
    spread = spread_of(
        newest(nightly - _means(nightly, calm & before), calm & before, own_method.baseline_nights),
        se_squared=np.zeros(nodes),
        alone=np.ones(nodes, dtype=bool),
        support=np.zeros(nodes),
        boot_ss=np.zeros(nodes),
        boot_df=np.zeros(nodes),
        method=own_method,
    )
    tested = finite & (np.arange(reading.first, fleet.nights) >= fleet.node_watch_from[:, None])
    variances = np.repeat(spread.variance[:, None], nightly.shape[1], axis=1)
    windows = build_windows(
        nightly, variances, tested=tested, past=past, spread=spread, method=own_method
    )
    for node in range(nodes):
        if finite[node, -1]:
            _judge_node(
                fleet,
                reading,
                node,
                tonight=float(nightly[node, -1]),
                windows=windows,
                spread=spread,
                method=method,
            )
    slow = [node for node in range(nodes) if fleet.node_events[node] is not None]
    for node in slow:
        event = fleet.node_events[node]
        if event is not None and fleet.node_shift[node, fleet.nights - 1] == 0:
            fleet.node_shift[node, fleet.nights - 1] = event.size.value
    return slow


def node_series(fleet: Fleet, reading: Reading) -> Floats:
    """One row a node: the mean over its groups of what at least three trusted targets share."""
    split = reading.split
    shared = np.where(split.shared_by >= _FEWEST_TARGETS, split.shared, 0.0)
    known = split.shared_by >= _FEWEST_TARGETS
    total = np.zeros((fleet.nodes, shared.shape[1]))
    count = np.zeros_like(total)
    np.add.at(total, fleet.layout.group_node, shared)
    np.add.at(count, fleet.layout.group_node, known)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _means(values: Floats, used: NDArray[np.bool_]) -> Floats:
    count = np.maximum(used.sum(axis=1), 1)
    return np.asarray((np.where(used, values, 0.0).sum(axis=1) / count)[:, None])


def _judge_node(
    fleet: Fleet,
    reading: Reading,
    node: int,
    *,
    tonight: float,
    windows: Windows,
    spread: Spread,
    method: Method,
) -> None:
    column = fleet.nights - 1
    event = fleet.node_events[node]
    if event is not None:
        deviation = tonight - float(windows.base[node, 0])
        after, over = follow(event, column, deviation, float(spread.variance[node]), method)
        fleet.node_events[node] = None if over else after
        if over:
            started = event.better_since if event.better_since is not None else column
            fleet.node_shift[node, started:] = 0.0
            fleet.node_watch_from[node] = started
        elif not looks_recovered(event, deviation):
            fleet.node_shift[node, column] = deviation
        return
    rows = np.array([node])
    seen = evaluate(windows, rows, np.array([tonight]), spread.variance[rows])
    quantile = thresholds(windows, rows, seen, "alarm", 1)[0]
    ratio = np.nan_to_num(np.abs(seen.t[0]) / quantile, nan=0.0)
    ratio = np.where(np.abs(seen.estimate[0]) >= log_pct(method.node_min_effect_pct), ratio, 0.0)
    best = int(ratio.argmax())
    estimate, se = float(seen.estimate[0, best]), float(seen.se[0, best])
    if ratio[best] <= 1.0 or not _shared(fleet, reading, node, estimate, method):
        return
    sign = float(np.sign(estimate))
    since = reading.first + int(windows.start[node, best])
    fleet.node_events[node] = Event(
        kind="regressed" if estimate > 0 else "improved",
        since=since,
        opened=column,
        size=size_given_found(sign, abs(estimate), se, se * float(quantile[best])),
        series=-1,
        touched=(),
        provenance=-1,
    )
    fleet.node_shift[node, since : column + 1] = estimate


def _shared(fleet: Fleet, reading: Reading, node: int, estimate: float, method: Method) -> bool:
    """Whether most series of the node have gone at least half of the way tonight."""
    mine = fleet.layout.group_node[fleet.layout.series_group] == node
    column = fleet.nights - 1
    deviation = fleet.badness[mine, column] - reading.split.offsets[mine, -1]
    known = deviation[np.isfinite(deviation)]
    return float(np.mean(known * np.sign(estimate) > abs(estimate) / 2)) >= method.node_shared_by

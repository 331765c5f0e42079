"""A night of the accepted configuration: screen, measure again, judge the fresh values.

A value that is looked at because it is high is high by chance most of the time. So nothing is
judged by the value that raised the suspicion: the level is measured once more on the same boot,
then on up to four fresh boots, and those values *replace* the first one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nightbench.verdicts.looking import Finding, Look, Peak
from nightbench.verdicts.method import FRESH_BOOTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_ENOUGH_BOOTS = 2


def judge_unchanged(look: Look) -> Finding:
    """Judge a night that the screen found suspicious."""
    repeated = look.again.repeat()
    own, replaced = look.first_measured(), None
    if repeated is not None:
        own = replaced = look.own(repeated)
        peak = look.loudest(own, 1, "screen")
        if peak is None or peak.ratio <= look.method.repeat_ratio:
            return Finding(word="ok", replaced=repeated)
    boots = _boot_while_it_matters(look)
    if boots:
        replaced = look.mean_of(look.again.fresh)
        own = look.own(replaced)
    peak = look.loudest(own, max(boots, 1), "alarm")
    settled = Finding(
        word="ok",
        replaced=repeated if boots == 0 else look.mean_of(look.again.fresh),
        boots=max(boots, 1),
    )
    if peak is None or peak.ratio <= look.method.without_worst:
        return settled
    certain = peak.ratio > 1.0 and _holds_without_worst(look, peak) and _is_its_own(look, peak, own)
    return _conclude(look, peak, settled, certain=certain, boots=boots)


def _conclude(look: Look, peak: Peak, settled: Finding, *, certain: bool, boots: int) -> Finding:
    since = look.reading.first + peak.start
    needs_two_nights = look.few_neighbours or boots < _ENOUGH_BOOTS or peak.estimate < 0
    noticed = _noticed_before(look)
    if certain and (not needs_two_nights or noticed is not None):
        if needs_two_nights and noticed is not None:
            since = min(since, noticed)
        event = look.open_event(peak, since, look.provenance, controlled=False)
        return Finding(
            word=event.kind,
            size=event.size,
            since=since,
            event=event,
            replaced=settled.replaced,
            boots=settled.boots,
        )
    return Finding(
        word="inconclusive",
        size=peak.plain_size,
        since=since,
        notice=certain,
        more_nights=1 if certain else look.more_nights(peak),
        loudest=int(look.rows[peak.row]),
        replaced=settled.replaced,
        boots=settled.boots,
    )


def _boot_while_it_matters(look: Look) -> int:
    """Two fresh boots, and two more unless the first two say that it was chance."""
    boots = look.again.boot(_ENOUGH_BOOTS)
    if boots < _ENOUGH_BOOTS:
        return boots
    seen = look.evaluate(look.own(look.mean_of(look.again.fresh)), boots)
    if not (np.abs(np.nan_to_num(seen.t)) > look.method.futile_t).any():
        return boots
    return look.again.boot(FRESH_BOOTS)


def _holds_without_worst(look: Look, peak: Peak) -> bool:
    """Whether the change is still there without the boot that speaks loudest for it."""
    fresh = look.again.fresh
    if len(fresh) < _ENOUGH_BOOTS:
        return True
    sign = np.sign(peak.estimate)
    rest = np.delete(fresh, int((fresh[:, peak.row] * sign).argmax()), axis=0)
    without = look.loudest(look.own(look.mean_of(rest)), len(rest), "alarm")
    return (
        without is not None
        and without.ratio > look.method.without_worst
        and np.sign(without.estimate) == sign
    )


def _is_its_own(look: Look, peak: Peak, own: Floats) -> bool:
    """Whether the target itself moved, and not its neighbours: asked where they are one or two, and
    of every improvement, which neighbours that went wrong look like."""
    if look.support == 0:
        return True
    faster = peak.estimate < 0
    if look.support > 2 and not faster:
        return True
    series = int(look.rows[peak.row])
    raw = own[peak.row] + look.reading.split.node[series, -1]
    moved = raw - look.reading.split.offsets[series, -1]
    return bool(moved * np.sign(peak.estimate) > abs(peak.estimate) / (2 if faster else 3))


def _noticed_before(look: Look) -> int | None:
    """The target's last measured night, where that was noticed too."""
    fleet = look.fleet
    measured = np.isfinite(fleet.badness[look.rows, : look.column]).any(axis=0)
    nights = np.flatnonzero(measured)
    last = int(nights[-1]) if len(nights) else None
    return last if last is not None and fleet.notice[look.target, last] else None

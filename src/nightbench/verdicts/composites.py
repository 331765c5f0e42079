"""The series of a target: one a metric, chained over the levels of a workload.

A composite is the mean of what its levels deviate by from their own offsets. The offset of a level
is how far it lies, on average so far, from the composite itself: a night with every level shifts
no offset against another, one with a level missing or invalid is the mean of the others, and a
level that is new begins where the others are that night. Nothing of a later night is used.

A level is what was asked: its measurement key. Where the keys of a workload change, an era begins,
and a series with it: other prompts are other numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def chain(levels: Floats) -> tuple[Floats, Floats]:
    """Composites out of badness by series, level and night (NaN: not measured, or not valid), and
    the newest offset of each level. Where no level of a night is known, neither is the night."""
    series, width, nights = levels.shape
    composite = np.full((series, nights), np.nan)
    total, count = np.zeros((series, width)), np.zeros((series, width))
    begun = np.zeros(series, dtype=bool)
    for night in range(nights):
        tonight = levels[:, :, night]
        present = np.isfinite(tonight)
        known = np.where(begun[:, None], present & (count > 0), present)
        number = known.sum(axis=1)
        deviation = np.where(known, tonight - total / np.maximum(count, 1), 0.0)
        value = np.where(number > 0, deviation.sum(axis=1) / np.maximum(number, 1), np.nan)
        composite[:, night] = value
        placed = present & np.isfinite(value)[:, None]
        total += np.where(placed, tonight - value[:, None], 0.0)
        count += placed
        begun |= number > 0
    return composite, np.where(count > 0, total / np.maximum(count, 1), np.nan)


def chained_error(errors: Floats, levels: Floats) -> Floats:
    """The standard error of a composite; NaN where one of its levels' is not known."""
    present = np.isfinite(levels)
    number = present.sum(axis=1)
    squares = np.where(present, errors**2, 0.0).sum(axis=1)
    return np.where(number > 0, np.sqrt(squares) / np.maximum(number, 1), np.nan)


class Eras:
    """Which nights of a workload asked the same, by the measurement keys of their levels."""

    def __init__(self) -> None:
        self._known: list[dict[str, str]] = []

    @property
    def count(self) -> int:
        """How many there have been."""
        return len(self._known)

    def find(self, keys: Mapping[str, str]) -> int | None:
        """The newest era that a night with these keys (by level) fits into."""
        for number in reversed(range(len(self._known))):
            known = self._known[number]
            shared = [level for level in keys if level in known]
            if shared and all(known[level] == keys[level] for level in shared):
                return number
        return None

    def of(self, keys: Mapping[str, str]) -> int:
        """That era with the night in it, or one of its own."""
        number = self.find(keys)
        if number is None:
            self._known.append(dict(keys))
            return len(self._known) - 1
        self._known[number].update(keys)
        return number

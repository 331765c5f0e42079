"""The newest values of many series at once: right-aligned tables out of ragged nights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Aligned:
    """The newest nights of each series that a mask allows, newest last; NaN before the first."""

    values: Floats  # one row a series, `width` columns
    columns: Integers  # which night a value is of; -1 where there is none

    @property
    def present(self) -> Flags:
        """Where there is a value."""
        return self.columns >= 0


def newest(values: Floats, allowed: Flags, width: int) -> Aligned:
    """At most `width` values of each row that are allowed, in order, the newest at the right."""
    rank = allowed[:, ::-1].cumsum(axis=1)[:, ::-1]
    rows, nights = np.nonzero(allowed & (rank <= width))
    slots = width - rank[rows, nights]
    aligned = np.full((len(values), width), np.nan)
    columns = np.full((len(values), width), -1, dtype=np.int64)
    aligned[rows, slots] = values[rows, nights]
    columns[rows, slots] = nights
    return Aligned(aligned, columns)


def medians(values: Floats) -> Floats:
    """The median of each row over what is not NaN; NaN for an empty row."""
    ordered = np.sort(values, axis=1)  # NaN comes last
    count = np.isfinite(values).sum(axis=1)
    low = np.maximum((count - 1) // 2, 0)[:, None]
    high = np.minimum(count // 2, values.shape[1] - 1)[:, None]
    middle = np.take_along_axis(ordered, low, 1) + np.take_along_axis(ordered, high, 1)
    return np.where(count > 0, middle[:, 0] / 2, np.nan)

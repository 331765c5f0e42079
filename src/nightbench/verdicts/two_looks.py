"""What the second look has to pass, given that there was a first.

A night is judged only if its first value passed the screen, so that a change called by chance takes
two chances. How independent they are depends on what fresh boots share with the first value: the
night, the baseline and, in a long window, all nights before. With correlation ρ between the two
looks the second threshold t solves

    P(Z1 > s, Z2 > t) = ∫ φ(z) Φ((ρz − t) / √(1 − ρ²)) dz, from s on  =  the declared probability

for the screen's threshold s. At ρ = 1 that is the declared quantile itself; at 0 it is far lower.
Where the night is mostly the target's own, fresh boots tell little, and ρ says so.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_GRID = np.linspace(0.0, 0.99, 34)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(80)
_REACH = 6.0  # sd beyond the screen: what is left there is below 1e-9


def second_look_p(first_p: float, both_p: float, correlation: Floats) -> Floats:
    """The one-sided probability that the second look is held against, for each correlation."""
    table = _table(first_p, both_p)
    grid = np.append(_GRID, 1.0)
    return np.asarray(np.exp(np.interp(np.clip(correlation, 0.0, 1.0), grid, np.log(table))))


@lru_cache(maxsize=64)
def _table(first_p: float, both_p: float) -> Floats:
    screen = -float(special.ndtri(first_p))
    z = screen + (_NODES + 1.0) * _REACH / 2.0
    density = np.exp(-z * z / 2.0) / np.sqrt(2.0 * np.pi) * _WEIGHTS * _REACH / 2.0
    low, high = np.full(len(_GRID), -6.0), np.full(len(_GRID), 8.0)
    apart = np.sqrt(1.0 - _GRID**2)
    for _ in range(60):
        middle = (low + high) / 2.0
        beyond = special.ndtr((_GRID[:, None] * z - middle[:, None]) / apart[:, None])
        more = (density * beyond).sum(axis=1) > both_p
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return np.append(special.ndtr(-low), min(both_p, 0.5))

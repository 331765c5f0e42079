"""Values between a program and what judges it: plain data as JSON, so that nothing of the
program's own (`__eq__`, a subclass, a name in a module) comes along.

What is no plain data arrives as `Opaque`, which equals nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Set
from decimal import Decimal
from fractions import Fraction
from typing import Any

MOST_ITEMS = 1_000_000  # of an iterator: some have no end


class Opaque:
    """An object that stays where it is; its truth is all that is known of it."""

    def __init__(self, kind: str, truth: bool) -> None:
        self._kind, self._truth = kind, truth

    def __bool__(self) -> bool:
        return self._truth

    def __repr__(self) -> str:
        return f"<{self._kind} of the program>"


def encode(value: Any) -> list[Any]:
    """As JSON holds it: a kind and its parts. Subclasses are what they are derived from."""
    if value is None:
        return ["none"]
    for kind, parts in _SIMPLE.items():
        if isinstance(value, kind):
            return parts(value)
    for name, many in _MANY.items():
        if isinstance(value, many):
            return [name, [encode(one) for one in list(value)]]
    if isinstance(value, Mapping):
        return ["dict", [[encode(key), encode(one)] for key, one in list(value.items())]]
    if isinstance(value, Iterator):
        return ["iterator", [encode(one) for one in itertools.islice(value, MOST_ITEMS)]]
    return ["opaque", type(value).__name__, _truth(value)]


def decode(value: Any) -> Any:
    """What `encode` made. Raises ValueError or TypeError where it was not `encode`."""
    kind, *parts = value
    if kind == "none":
        return None
    if kind == "opaque":
        return Opaque(str(parts[0]), truth=parts[1] is True)
    if kind == "dict":
        return {decode(key): decode(one) for key, one in parts[0]}
    if kind in _MANY_MADE:
        return _MANY_MADE[kind](decode(one) for one in parts[0])
    if kind not in _MADE:
        raise ValueError(f"{kind!r} is not a kind of value")
    return _MADE[kind](*parts)


def _truth(value: Any) -> bool:
    try:
        return bool(value)
    except Exception:  # noqa: BLE001 - whatever a program's __bool__ does
        return False


_SIMPLE: dict[type[Any], Callable[[Any], list[Any]]] = {
    bool: lambda value: ["bool", bool(value)],
    int: lambda value: ["int", hex(value)],
    float: lambda value: ["float", float(value).hex()],
    complex: lambda value: ["complex", value.real.hex(), value.imag.hex()],
    str: lambda value: ["str", str(value)],
    bytes: lambda value: ["bytes", bytes(value).hex()],
    bytearray: lambda value: ["bytearray", bytes(value).hex()],
    range: lambda value: ["range", value.start, value.stop, value.step],
    Fraction: lambda value: ["fraction", hex(value.numerator), hex(value.denominator)],
    Decimal: lambda value: ["decimal", str(value)],
}
_MANY: dict[str, Any] = {"list": list, "tuple": tuple, "frozenset": frozenset, "set": Set}
_MANY_MADE: dict[str, Callable[[Iterator[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "frozenset": frozenset,
    "set": set,
    "iterator": lambda parts: iter(list(parts)),
}
_MADE: dict[str, Callable[..., Any]] = {
    "bool": lambda value: value is True,
    "int": lambda value: int(value, 16),
    "float": float.fromhex,
    "complex": lambda real, imag: complex(float.fromhex(real), float.fromhex(imag)),
    "str": str,
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "range": range,
    "fraction": lambda above, below: Fraction(int(above, 16), int(below, 16)),
    "decimal": lambda value: Decimal(str(value)),
}

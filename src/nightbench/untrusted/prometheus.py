"""Counters as Prometheus has servers write them (its text format 0.0.4): `name{labels} value`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from nightbench.untrusted.counts import as_reading

MOST_LINES = 100_000  # that are looked at: an engine has hundreds


def readings(page: str, prefix: str) -> Iterator[tuple[str, float]]:
    """Name, without `prefix`, and value of each sample whose name begins so.

    A line that is no sample, or whose value is no finite number, is read over.
    """
    return ((name, value) for name, value in samples(page, prefix) if value is not None)


def samples(page: str, prefix: str) -> Iterator[tuple[str, float | None]]:
    """The same with those whose value is no reading: None."""
    for line in islice(_lines(page, prefix), MOST_LINES):
        name, said = line.partition("{")[0].partition(" ")[0], line.rsplit(" ", 1)[-1]
        # Python's own way to write a million is not Prometheus's.
        yield name, None if "_" in said else as_reading(said)


def _lines(page: str, prefix: str) -> Iterator[str]:
    """What follows `prefix` in the lines that begin so; others cost nothing, of however many."""
    page, begin = f"\n{page}\n", f"\n{prefix}"
    at = page.find(begin)
    while at >= 0:
        end = page.find("\n", at + 1)
        yield page[at + len(begin) : end]
        at = page.find(begin, end)

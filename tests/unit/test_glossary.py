"""The glossary has each word once, in order, and where it points there is something."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = re.findall(
    r"^\| ([^|]+) \| ([^|]+) \| `([^`|]+)` \|$", (ROOT / "docs" / "glossary.md").read_text(), re.M
)
FIELD = """adapter, compaction, connection refused, dispatch, ingest, log tail, mark invalid,
minimum detectable drop, recorder, retention, scorer, stopped, watchdog, worker pool"""


def test_terms_stand_once_and_in_order() -> None:
    terms = [term for term, _, _ in ROWS]
    assert len(terms) > 100
    assert terms == sorted(set(terms), key=str.lower)


@pytest.mark.parametrize("place", sorted({place for _, _, place in ROWS}))
def test_where_to_look_is_there(place: str) -> None:
    assert (ROOT / place).exists()


def test_the_fields_words_are_among_them() -> None:
    terms = {term for term, _, _ in ROWS}
    assert set(" ".join(FIELD.split()).split(", ")) <= terms

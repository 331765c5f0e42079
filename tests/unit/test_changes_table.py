"""docs/changes.md names files that are there, and for no change more than four of code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "docs" / "changes.md").read_text(encoding="utf-8")
LINES = [line.split("|") for line in TABLE.splitlines() if line.startswith("|")][2:]
ROWS = [(cells[1].strip(), cells[2], cells[5]) for cells in LINES]
CODE = re.compile(r"`([\w/]+\.(?:py|h|c))`")
TESTS = re.compile(r"`(tests/[\w/.]+)`")


def test_twelve_changes_are_described() -> None:
    assert len(ROWS) == 12


@pytest.mark.parametrize(("change", "code", "proof"), ROWS)
def test_a_change_touches_four_files_of_code_at_most(change: str, code: str, proof: str) -> None:
    files = CODE.findall(code)
    assert len(files) - len(re.findall(r"`[\w/.]+` or `", code)) <= 4, change
    for name in files:
        folder = ROOT if name.startswith("tasks/") else ROOT / "src" / "nightbench"
        assert name.endswith("NAME.py") or (folder / name).exists(), name
    for name in TESTS.findall(proof):
        assert (ROOT / name).exists(), name

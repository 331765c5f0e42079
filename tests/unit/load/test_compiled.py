"""The parts in C: which libraries are taken, and which are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nightbench.load.native import parts
from nightbench.load.native.parts import PARTS, load_library

EVERY_PART = pytest.mark.parametrize("part", PARTS)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what is installed, to be spoilt."""
    for path in parts.FOLDER.iterdir():
        if path.suffix in (".c", ".h", ".so"):
            shutil.copy(path, tmp_path)
    monkeypatch.setattr(parts, "FOLDER", tmp_path)
    return tmp_path


@EVERY_PART
@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_where_there_is_a_compiler_every_part_was_built(part: str) -> None:
    assert load_library(part) is not None, "reinstall nightbench"


@EVERY_PART
def test_a_part_that_was_not_built_is_none(part: str, installed: Path) -> None:
    (installed / f"_{part}.so").unlink(missing_ok=True)
    assert load_library(part) is None


@pytest.mark.parametrize(("part", "source"), [(p, s) for p in PARTS for s in PARTS[p]])
@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_a_library_of_another_source_is_refused(part: str, source: str, installed: Path) -> None:
    (installed / source).write_text("something else")
    with pytest.raises(ImportError, match="reinstall nightbench"):
        load_library(part)


@EVERY_PART
def test_a_library_of_another_machine_is_refused(part: str, installed: Path) -> None:
    (installed / f"_{part}.so").write_bytes(b"no library at all")
    with pytest.raises(ImportError, match="reinstall nightbench"):
        load_library(part)


def test_every_source_is_of_a_part() -> None:
    sources = {path.name for path in parts.FOLDER.iterdir() if path.suffix in (".c", ".h")}
    assert sources == {name for names in PARTS.values() for name in names}

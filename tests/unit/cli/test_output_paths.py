"""Files of results: what cannot be written is known before hours are measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightbench.cli.output_paths import make_room_for, temporary_folder
from nightbench.errors import BadInput, NightbenchError


def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    make_room_for(None, tmp_path / "new" / "x.json")
    assert (tmp_path / "new").is_dir()


@pytest.mark.parametrize("name", ["a/b/x.json", "file/x.json", "folder"])
def test_what_cannot_be_written_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInput, match="cannot be written"):
        make_room_for(tmp_path / name)


def test_no_folder_is_made_at_the_root() -> None:
    with pytest.raises(BadInput, match="no such folder"):
        make_room_for(Path("/no-such-folder-of-nightbench/x.json"))


def test_without_a_folder_for_temporary_files_there_is_a_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryDirectory", full)
    with pytest.raises(NightbenchError, match="No space left"), temporary_folder():
        pass

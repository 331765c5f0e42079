"""Files that nobody else may read or write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nightbench.errors import NightbenchError
from nightbench.home.private_files import (
    close_to_others,
    open_private,
    private_folder,
    read_private,
    write_private_once,
)

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "password"


def modes(folder: Path) -> set[int]:
    return {path.stat().st_mode & 0o077 for path in (folder, *folder.rglob("*"))}


def test_what_is_written_once_is_read_back_and_not_written_again(file: Path) -> None:
    assert read_private(file) is None
    assert write_private_once(file, "one")
    assert not write_private_once(file, "two")
    assert read_private(file) == "one"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o666])
def test_a_file_that_others_could_read_or_write_is_refused(file: Path, mode: int) -> None:
    write_private_once(file, "one")
    file.chmod(mode)
    with pytest.raises(NightbenchError, match="accessible to other users"):
        read_private(file)


def test_a_link_a_folder_and_a_pipe_are_refused_without_waiting(file: Path) -> None:
    (file.parent / "elsewhere").write_text("one", encoding="utf-8")
    file.symlink_to("elsewhere")
    with pytest.raises(NightbenchError, match="cannot be read"):
        read_private(file)
    file.unlink()
    os.mkfifo(file, 0o600)
    with pytest.raises(NightbenchError, match="does not belong to this user"):
        read_private(file)
    file.unlink()
    file.mkdir(0o700)
    with pytest.raises(NightbenchError):
        read_private(file)


@as_root
def test_a_file_that_another_user_has_made_is_refused(file: Path) -> None:
    write_private_once(file, "one")
    os.chown(file, NOBODY, NOBODY)
    with pytest.raises(NightbenchError, match="does not belong to this user"):
        read_private(file)


@as_root
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "prefect"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    with pytest.raises(NightbenchError, match="belongs to another user"):
        private_folder(folder)


def test_a_folder_is_closed_with_all_that_is_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "prefect"
    private_folder(folder)
    (folder / "below").mkdir(mode=0o755)
    for path in (folder / "prefect.db", folder / "below" / "log"):
        path.touch()
        path.chmod(0o664)
    folder.chmod(0o755)
    private_folder(folder)
    assert modes(folder) == {0}


def test_where_a_link_leads_stays_as_it_is(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.touch()
    elsewhere.chmod(0o644)
    folder = tmp_path / "prefect"
    folder.mkdir()
    (folder / "link").symlink_to(elsewhere)
    (folder / "nowhere").symlink_to("nowhere at all")
    close_to_others(folder)
    assert elsewhere.stat().st_mode & 0o777 == 0o644


def test_what_is_to_be_refused_is_not_mended_first(file: Path) -> None:
    file.touch()
    file.chmod(0o644)
    close_to_others(file.parent, but=file)
    assert file.stat().st_mode & 0o777 == 0o644


def test_a_log_is_made_for_ourselves_and_goes_on_where_it_was(file: Path) -> None:
    for line in (b"one\n", b"two\n"):
        with open_private(file, os.O_APPEND) as log:
            log.write(line)
    assert file.read_bytes() == b"one\ntwo\n"
    assert file.stat().st_mode & 0o777 == 0o600

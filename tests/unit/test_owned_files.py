"""Opening files where others write: only regular ones, through no link, without waiting."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from nightbench.errors import HistoryError, NightbenchError
from nightbench.history import locks
from nightbench.home import owned_files
from nightbench.home.owned_files import (
    NotARegularFile,
    distrust,
    open_lock,
    open_regular,
    read_at_most,
)
from nightbench.serving import file_locks


def a_link(path: Path) -> None:
    (path.parent / "target").write_text("x")
    path.symlink_to("target")


def a_dangling_link(path: Path) -> None:
    path.symlink_to("made")


def a_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # its name may be long, the address of a socket not
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(here)


IRREGULAR = {
    "a link": a_link,
    "a dangling link": a_dangling_link,
    "a pipe": os.mkfifo,
    "a socket": a_socket,
    "a folder": Path.mkdir,
}


@pytest.fixture(params=IRREGULAR.values(), ids=IRREGULAR.keys())
def irregular(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    make: Callable[[Path], None] = request.param
    path = tmp_path / "file"
    make(path)
    return path


def test_what_is_no_file_is_not_opened(irregular: Path) -> None:
    for flags in (os.O_RDONLY, os.O_RDWR):
        with pytest.raises(NotARegularFile):
            open_regular(irregular, flags)


def test_what_is_no_file_is_not_locked_and_nothing_is_made_or_changed(irregular: Path) -> None:
    with pytest.raises(NotARegularFile):
        open_lock(irregular)
    assert not (irregular.parent / "made").exists()


def test_a_lock_of_the_history_or_of_an_engine_says_what_is_in_its_place(irregular: Path) -> None:
    with pytest.raises(HistoryError, match="cannot be locked"), locks.held(irregular, deadline_s=1):
        pytest.fail("it cannot be")
    with (
        pytest.raises(NightbenchError, match="cannot be locked"),
        file_locks.locked(irregular, on_wait=lambda: None),
    ):
        pytest.fail("it cannot be")


def test_a_lock_is_made_once_and_opened_from_then_on(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first, second = open_lock(path, 0o600), open_lock(path)
    assert os.path.sameopenfile(first, second)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    os.close(first)
    os.close(second)


def test_no_more_is_read_than_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    fd = open_regular(path)
    assert read_at_most(fd, 100) == b"x" * 100
    assert read_at_most(fd, 99) is None
    os.close(fd)


def test_a_user_without_a_name_is_a_number() -> None:
    assert owned_files.owner_name(0) == "root"
    assert owned_files.owner_name(4_000_000) == "uid 4000000"


def test_what_is_not_there_yet_is_no_reason_to_distrust_it(tmp_path: Path) -> None:
    assert distrust(tmp_path / "a" / "b") is None


def test_links_are_followed_by_hand_and_looked_at_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "open" / "leases").mkdir()
    (tmp_path / "way").symlink_to("open/../open")
    found = distrust(tmp_path / "way" / "leases")
    assert found is not None
    assert found[0] == tmp_path / "open"


def test_a_group_that_has_only_this_user_in_it_is_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a umask of 002, as some systems have it, every folder is writable by such a group."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine").chmod(0o775)
    assert distrust(tmp_path / "mine") is None
    monkeypatch.setattr(owned_files, "_is_of_one", lambda _: False)
    assert distrust(tmp_path / "mine") is not None

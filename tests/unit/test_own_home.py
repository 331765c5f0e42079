"""Whose a home is, and that it is nobody else's to read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from nightbench.errors import BadInput
from nightbench.history.private_home import own_home
from nightbench.home.paths import Home
from nightbench.home.private_files import PRIVATE_UMASK, GroupAccess, write_as_asked
from nightbench.home.safety import name_of
from tests.colleague import COLLEAGUE, only_for_root

TEAM = 61234  # a group of the kernel's alone: no file of the system names it


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """As on most machines, whatever a test leaves behind."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def an_old_home(root: Path) -> Path:
    """A home as an earlier release left it under the usual umask."""
    for name in ("spool", "logs", "prefect"):
        (root / name).mkdir(parents=True, mode=0o755)
    (root / "prefect" / "prefect.db").write_text("")
    return root


def take(root: Path, **environ: str) -> list[str]:
    """Take the home for writing; what was said."""
    said: list[str] = []
    own_home({"NIGHTBENCH_HOME": str(root)} | environ, say=said.append)
    return said


def refused(root: Path, **environ: str) -> BadInput:
    with pytest.raises(BadInput) as error:
        take(root, **environ)
    return error.value


def test_a_home_of_an_earlier_release_is_closed_once_and_that_is_said(tmp_path: Path) -> None:
    home = an_old_home(tmp_path / "home")
    home.chmod(0o775)
    assert take(home) == [f"{home} was open to other users and is now private"]
    assert [mode(home), mode(home / "spool"), mode(home / "prefect")] == [0o700] * 3
    assert take(home) == []


def test_a_folder_that_was_open_in_a_closed_home_is_closed_too(tmp_path: Path) -> None:
    home = an_old_home(tmp_path / "home")
    home.chmod(0o700)
    assert take(home) == []
    assert mode(home / "logs") == 0o700


def test_what_a_writing_process_creates_is_its_owner_s_alone(tmp_path: Path) -> None:
    take(tmp_path / "home")
    assert os.umask(0o022) == PRIVATE_UMASK
    assert not (tmp_path / "home").exists()  # nothing is made before it is needed


def test_a_link_to_a_shared_folder_of_engines_is_left_as_it_is(tmp_path: Path) -> None:
    home, shared = an_old_home(tmp_path / "home"), tmp_path / "shared"
    shared.mkdir(mode=0o755)
    (home / "engines").symlink_to(shared)
    take(home)
    assert mode(shared) == 0o755


def test_a_home_reached_by_a_link_of_one_s_own_is_the_one_that_is_closed(tmp_path: Path) -> None:
    home = an_old_home(tmp_path / "home")
    (tmp_path / "link").symlink_to(home)
    take(tmp_path / "link")
    assert mode(home) == 0o700


def test_a_home_that_everybody_may_write_into_is_refused(tmp_path: Path) -> None:
    home = an_old_home(tmp_path / "home")
    home.chmod(0o1777)
    error = refused(home)
    assert "is writable by every user" in error.message
    assert f"chmod 700 {home}" in error.hint
    with pytest.raises(BadInput, match="writable by every user"):
        Home.from_env({"NIGHTBENCH_HOME": str(home)})


def test_a_folder_of_other_things_is_not_closed_to_their_readers(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "thesis.tex").write_text("")
    tmp_path.chmod(0o755)
    assert "contains more than a nightbench home" in refused(tmp_path).message
    assert mode(tmp_path) == 0o755
    tmp_path.chmod(0o700)
    assert take(tmp_path) == []


def test_a_home_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    assert "is not a folder" in refused(tmp_path / "home").message


@only_for_root
def test_a_home_of_another_user_is_not_written_into(tmp_path: Path) -> None:
    home = an_old_home(tmp_path / "home")
    os.chown(home, COLLEAGUE, -1)
    error = refused(home)
    assert f"belongs to {name_of(COLLEAGUE)}" in error.message
    assert f"sudo -u {name_of(COLLEAGUE)} nightbench" in error.hint


@only_for_root
def test_a_folder_of_another_user_in_one_s_home_is_named(tmp_path: Path) -> None:
    home = an_old_home(tmp_path / "home")
    os.chown(home / "spool", COLLEAGUE, -1)
    assert f"{home / 'spool'} belongs to {name_of(COLLEAGUE)}" in refused(home).message


@only_for_root
def test_another_user_s_home_is_read_only_where_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = an_old_home(tmp_path / ".nightbench")
    home.chmod(0o755)
    os.chown(home, COLLEAGUE, -1)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="was not set explicitly"):
        Home.from_env({})
    assert Home.from_env({"NIGHTBENCH_HOME": str(home)}).root == home
    assert Home.from_env({"SUDO_UID": str(COLLEAGUE)}).root == home  # who typed sudo, their own


@only_for_root
def test_a_link_of_another_user_leads_nowhere(tmp_path: Path) -> None:
    home = an_old_home(tmp_path / "home")
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    os.chown(link, COLLEAGUE, -1, follow_symlinks=False)
    assert f"{link} is a symbolic link owned by" in refused(link / "home").message
    assert mode(home) == 0o755


@only_for_root
def test_sudo_makes_no_home_that_its_user_could_not_open(tmp_path: Path) -> None:
    os.chown(tmp_path, COLLEAGUE, -1)
    root = tmp_path / "not" / "there" / "yet"
    assert "would belong to root" in refused(root, SUDO_UID=str(COLLEAGUE)).message
    assert take(root) == []  # root itself, in a container


@only_for_root
def test_a_group_may_pass_through_the_home_to_its_history_and_list_nothing(
    tmp_path: Path,
) -> None:
    home = an_old_home(tmp_path / "home")
    (home / "history").mkdir(mode=0o700)
    said = take(home, NIGHTBENCH_GROUP=str(TEAM))
    assert said[-1] == f"{home / 'history'} is open to the group {TEAM} now (NIGHTBENCH_GROUP)"
    assert [mode(home), mode(home / "history"), mode(home / "spool")] == [0o710, 0o750, 0o700]
    assert [home.stat().st_gid, (home / "history").stat().st_gid] == [TEAM, TEAM]
    assert take(home, NIGHTBENCH_GROUP=str(TEAM)) == []
    said = take(home)
    assert said == [f"{home / 'history'} is closed to others now (NIGHTBENCH_GROUP)"]
    assert [mode(home), mode(home / "history")] == [0o700, 0o700]


@only_for_root
def test_a_home_that_is_not_there_yet_is_made_so_that_a_group_may_pass(tmp_path: Path) -> None:
    take(tmp_path / "home", NIGHTBENCH_GROUP=str(TEAM))
    assert mode(tmp_path / "home") == 0o710


def test_a_group_that_there_is_not_is_refused_before_anything_changes(tmp_path: Path) -> None:
    home = an_old_home(tmp_path / "home")
    error = refused(home, NIGHTBENCH_GROUP="no-such-group")
    assert "which does not exist on this machine" in error.message
    assert mode(home) == 0o755


def test_a_group_that_one_is_not_in_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BadInput, match="of which you are not a member"):
        GroupAccess.of(str(TEAM))
    assert GroupAccess.of(str(os.getegid())).gid == os.getegid()


def test_a_file_that_a_person_asked_for_has_their_own_umask(tmp_path: Path) -> None:
    asked, there = tmp_path / "new.json", tmp_path / "there.json"
    there.write_text("")
    there.chmod(0o604)
    os.umask(PRIVATE_UMASK)
    for path in (asked, there):
        write_as_asked(path, "{}", 0o027)
    assert [mode(asked), mode(there)] == [0o640, 0o604]

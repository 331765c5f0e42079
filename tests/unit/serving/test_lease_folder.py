"""The folder of leases: root's or one's own, sticky where others write, or refused."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from other_user import act

from nightbench.cli.main import main
from nightbench.errors import LeaseError
from nightbench.progress import ignore
from nightbench.serving.hardware import lease_folder, leases
from nightbench.serving.hardware.gpus import Inventory
from nightbench.serving.hardware.leases import LeaseRequest

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where everybody may enter."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        monkeypatch.setenv("NIGHTBENCH_HOME", f"{name}/home")
        yield Path(name)


def lease(where: Path) -> None:
    request = LeaseRequest(subject="t", num_gpus=0, cores=(0,))
    leases.acquire(
        request, where, Inventory(), read_use=lambda _: {}, on_progress=ignore
    ).hand_over()


def refused(where: Path) -> LeaseError:
    """How; and nothing is made there."""
    with pytest.raises(LeaseError) as error:
        lease(where)
    return error.value


def made_by_the_hint(error: LeaseError) -> None:
    """Do what it says between the first backquotes, as root does without sudo."""
    command = error.hint.split("`")[1]
    assert command.startswith("sudo ")
    words = shlex.split(command.replace("sudo ", ""))
    subprocess.run(["sh", "-c", shlex.join(words).replace("'&&'", "&&")], check=True)


# ---------------------------------------------------------------- which it is


def test_it_is_the_one_named_in_the_environment_and_made_when_it_is_needed(tmp_path: Path) -> None:
    named = tmp_path / "a" / "b"
    assert lease_folder.directory({"NIGHTBENCH_LEASES": str(named)}) == named
    assert not named.exists(), "looking makes nothing"
    lease(named)
    assert stat.S_IMODE(named.stat().st_mode) & 0o022 == 0


@as_root
def test_without_a_name_it_is_the_shared_one_which_root_makes_for_everybody(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = place / "lock" / "nightbench"
    monkeypatch.setattr(lease_folder, "SHARED", shared)
    assert lease_folder.directory({}) == shared
    lease(shared)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777
    act("lease", where=str(shared), resource="core-7", record={})


def test_a_user_without_the_shared_one_leases_at_home_where_nobody_else_can_be_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_folder, "SHARED", tmp_path / "none")
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    found = lease_folder.directory({"XDG_STATE_HOME": str(tmp_path)})
    assert found == tmp_path / "nightbench" / f"leases-{os.uname().nodename}"
    assert Path.home() in lease_folder.directory({}).parents


# ---------------------------------------------------------------- what is refused


@as_root
def test_one_of_another_user_is_refused_with_the_command_that_makes_it_rightly(
    place: Path,
) -> None:
    where = place / "leases"
    where.mkdir()
    where.chmod(0o1777)
    os.chown(where, 65534, 65534)
    error = refused(where)
    assert "it is a folder of nobody" in error.message
    assert f"`sudo install -d -o root -g root -m 1777 {where}`" in error.hint
    assert list(where.iterdir()) == []
    made_by_the_hint(error)
    lease(where)


def test_one_that_others_write_and_that_is_not_sticky_is_refused(place: Path) -> None:
    where = place / "leases"
    where.mkdir()
    where.chmod(0o777)
    error = refused(where)
    assert "other users may rename its entries (mode 0777, not sticky)" in error.message
    where.chmod(0o1777)
    lease(where)


@as_root
def test_one_that_a_group_writes_is_refused_unless_it_is_sticky(place: Path) -> None:
    where = place / "leases"
    where.mkdir()
    os.chown(where, 0, 65534)
    where.chmod(0o775)
    assert "mode 0775, not sticky" in refused(where).message
    where.chmod(0o3775)
    lease(where)


@as_root
def test_a_link_of_another_user_is_refused_and_the_command_puts_a_folder_in_its_place(
    place: Path,
) -> None:
    theirs, where = place / "theirs", place / "theirs" / "leases"
    theirs.mkdir()
    theirs.chmod(0o1777)
    (place / "roots").mkdir()
    act("link", path=str(where), target=str(place / "roots"))
    error = refused(where)
    assert "it is a link of nobody" in error.message
    assert "sudo rm" in error.hint
    made_by_the_hint(error)
    lease(where)
    assert list((place / "roots").iterdir()) == []


def test_a_link_of_ones_own_is_fine(place: Path) -> None:
    (place / "real").mkdir()
    (place / "leases").symlink_to("real")
    lease(place / "leases")
    assert list((place / "real").iterdir())


@pytest.mark.parametrize("action", ["pipe", "write"])
@as_root
def test_what_is_no_folder_is_refused(place: Path, action: str) -> None:
    theirs = place / "theirs"
    theirs.mkdir()
    theirs.chmod(0o1777)
    arguments = {"text": ""} if action == "write" else {}
    act(action, path=str(theirs / "leases"), **arguments)
    assert "of nobody" in refused(theirs / "leases").message


@as_root
@pytest.mark.parametrize(
    ("mode", "owner", "why"),
    [(0o777, 0, "mode 0777, not sticky"), (0o755, 65534, "it is a folder of nobody")],
)
def test_a_parent_in_which_others_could_rename_it_is_refused(
    place: Path, mode: int, owner: int, why: str
) -> None:
    parent = place / "parent"
    (parent / "leases").mkdir(parents=True)
    (parent / "leases").chmod(0o1777)
    os.chown(parent, owner, owner)
    parent.chmod(mode)
    error = refused(parent / "leases")
    assert f"below {parent}: " in error.message
    assert why in error.message
    assert "sudo install -d -o root -g root -m 1777 /var/lock/nightbench" in error.hint


@as_root
def test_nothing_is_made_where_another_users_link_leads(place: Path) -> None:
    theirs, roots = place / "theirs", place / "roots"
    theirs.mkdir()
    theirs.chmod(0o1777)
    roots.mkdir()
    act("link", path=str(theirs / "way"), target=str(roots))
    refused(theirs / "way" / "leases")
    act("folder", path=str(theirs / "folder"))
    refused(theirs / "folder" / "leases")
    assert list(roots.iterdir()) == []
    assert list((theirs / "folder").iterdir()) == []


@as_root
@pytest.mark.parametrize("action", ["link", "folder"])
def test_what_another_user_put_in_the_place_of_the_shared_one_is_not_given_to_everybody(
    place: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """A link in /var/lock, where everybody may write on some systems, to a folder of root's."""
    lock, roots = place / "lock", place / "roots"
    lock.mkdir()
    lock.chmod(0o1777)
    roots.mkdir(mode=0o755)
    monkeypatch.setattr(lease_folder, "SHARED", lock / "nightbench")
    arguments = {"target": str(roots)} if action == "link" else {}
    act(action, path=str(lock / "nightbench"), **arguments)
    refused(lease_folder.directory({}))
    assert stat.S_IMODE(roots.stat().st_mode) == 0o755
    assert list(roots.iterdir()) == []


@as_root
def test_one_where_this_user_may_not_write_is_refused(place: Path) -> None:
    """As root's becomes where a container's runtime makes it."""
    where = place / "leases"
    where.mkdir(mode=0o755)
    said = act("try_to_lease", where=str(where))
    assert "is not accessible to this user" in said
    assert f"sudo install -d -o root -g root -m 1777 {where}" in said


def test_links_that_lead_to_each_other_are_one_message(place: Path) -> None:
    (place / "a").symlink_to(place / "b")
    (place / "b").symlink_to(place / "a")
    assert "Too many levels of symbolic links" in refused(place / "a" / "leases").message


@as_root
def test_commands_say_so_and_doctor_shows_the_rest(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where = place / "leases"
    where.mkdir()
    os.chown(where, 65534, 65534)
    monkeypatch.setenv("NIGHTBENCH_LEASES", str(where))
    assert main(["reap"]) == 1
    assert "sudo install -d" in capsys.readouterr().err
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert f"refused: hardware is not leased in {where}: it is a folder of nobody" in out
    assert "load generator" in out

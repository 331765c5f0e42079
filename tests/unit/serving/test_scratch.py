"""A launch's temporary folder goes with its server, and nothing else goes with it."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from other_user import act

from nightbench.serving import scratch
from nightbench.serving.supervise.supervised_files import remove_folder

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of the machine, as /tmp is."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="b") as name:
        Path(name).chmod(0o1777)
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)


def fill(folder: Path) -> None:
    """Files, folders, a pipe, and a link that leads out."""
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "file").write_text("x")
    os.mkfifo(folder / "pipe")
    (folder / "out").symlink_to(folder.parent)


def test_it_is_for_this_user_only_and_short_enough_for_a_sockets_name(base: Path) -> None:
    made = scratch.make()
    assert made.path.parent == base
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o700
    longest = "ray/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store"
    assert len(str(made.path / longest)) <= 107
    remove_folder(made.path, made.fd)
    made.hand_over()


def test_it_lies_in_tmp_where_the_named_folder_has_too_long_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = scratch.make()
    assert made.path.parent == Path("/tmp")
    remove_folder(made.path, made.fd)
    made.hand_over()


def test_it_is_removed_with_all_that_is_in_it_and_nothing_that_is_linked(base: Path) -> None:
    (base / "kept").write_text("x")
    made = scratch.make()
    fill(made.path)
    remove_folder(made.path, made.fd)
    made.hand_over()
    assert [path.name for path in base.iterdir()] == ["kept"]


def test_one_that_is_kept_is_not_swept_and_one_that_nobody_keeps_is(base: Path) -> None:
    kept, left = scratch.make(), scratch.make()
    fill(left.path)
    left.hand_over()
    scratch.sweep()
    assert list(base.iterdir()) == [kept.path]
    kept.hand_over()
    scratch.sweep()
    assert list(base.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "mode"),
    [("nightbench.0123456", 0o700), ("nightbench.0123456g", 0o700), ("nightbench.01234567", 0o755)],
)
def test_what_is_not_made_like_one_is_not_swept(base: Path, name: str, mode: int) -> None:
    (base / name).mkdir(mode=mode)
    (base / name / "file").write_text("x")
    scratch.sweep()
    assert (base / name / "file").exists()


@as_root
def test_what_another_user_made_under_such_a_name_is_left_alone(base: Path) -> None:
    roots = base / "roots"
    roots.mkdir(mode=0o700)
    (roots / "file").write_text("x")
    act("link", path=str(base / "nightbench.00000000"), target=str(roots))
    act("folder", path=str(base / "nightbench.11111111"), mode=0o700)
    act("pipe", path=str(base / "nightbench.22222222"))
    act("write", path=str(base / "nightbench.33333333"), text="x")
    before = sorted(base.iterdir())
    scratch.sweep()
    assert sorted(base.iterdir()) == before
    assert (roots / "file").exists()


def test_what_has_its_name_by_now_is_not_emptied(base: Path) -> None:
    """Where the folder above is not sticky, anybody could put something of this user's there."""
    made = scratch.make()
    fill(made.path)
    made.path.rename(base / "moved")
    made.path.mkdir(mode=0o700)
    (made.path / "precious").write_text("x")
    remove_folder(made.path, made.fd)
    made.hand_over()
    assert (made.path / "precious").exists()
    assert list((base / "moved").iterdir()) == []


def test_what_cannot_be_removed_is_no_error(base: Path) -> None:
    made = scratch.make()
    fill(made.path)
    made.path.rename(base / "moved")
    remove_folder(made.path, made.fd)
    made.hand_over()

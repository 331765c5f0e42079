"""Engine environments stay while the disk holds them; then the longest unused go."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nightbench.home.paths import Home
from nightbench.serving.provision.environment_retention import (
    KeptEnvironment,
    make_room,
    mark_used,
    remove,
    size_of,
    to_remove,
)

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def kept(key: str, days_ago: int, size: int = 40) -> KeptEnvironment:
    return KeptEnvironment(key, size, NOW - timedelta(days=days_ago))


def test_all_stay_while_they_fit() -> None:
    assert to_remove([kept("a", 300), kept("b", 90)], 80, NOW) == []


def test_the_longest_unused_go_first_and_no_more_than_it_takes() -> None:
    found = [kept("new", 0), kept("before", 10), kept("older", 50), kept("oldest", 99)]
    assert to_remove(found, 120, NOW, but="new") == ["oldest"]
    assert to_remove(found, 60, NOW, but="new") == ["oldest", "older", "before"]


def test_what_is_at_work_stays_though_it_is_too_much() -> None:
    found = [kept("new", 30), kept("control", 3), kept("other", 8)]
    assert to_remove(found, 10, NOW, but="new") == ["other"]


def environment(home: Home, key: str, days_ago: int) -> Path:
    root = home.engines / key
    root.mkdir(parents=True)
    (root / "weights").write_bytes(b"x" * 8192)
    (root / "ready.json").write_text("{}")
    mark_used(root, now=lambda: NOW - timedelta(days=days_ago))
    return root


def test_what_is_removed_is_gone_and_what_a_server_ran_from_is_used(tmp_path: Path) -> None:
    home = Home(tmp_path)
    old, other = environment(home, "old", 60), environment(home, "other", 90)
    assert size_of(old) >= 8192
    assert make_room(home, "new", 10**9, now=lambda: NOW) == []
    mark_used(other, now=lambda: NOW)
    assert make_room(home, "new", 1, now=lambda: NOW) == ["old"]
    assert (old.exists(), other.exists()) == (False, True)


def test_what_a_process_runs_from_stays_however_long_ago_it_was_started(tmp_path: Path) -> None:
    home = Home(tmp_path)
    root = environment(home, "served", 60)
    program = root / "sleeping"
    shutil.copy(shutil.which("sleep") or "", program)
    with subprocess.Popen([program, "60"]) as served:
        assert make_room(home, "new", 1, now=lambda: NOW) == []
        served.kill()
    assert make_room(home, "new", 1, now=lambda: NOW) == ["served"]


def test_what_was_used_while_the_others_were_looked_at_stays(tmp_path: Path) -> None:
    home = Home(tmp_path)
    root = environment(home, "old", 1)
    assert not remove(home, "old", unless_used_since=NOW - timedelta(days=60))
    assert root.exists()
    assert remove(home, "old", unless_used_since=NOW - timedelta(days=1))


def test_what_a_killed_removal_has_left_goes_with_the_next(tmp_path: Path) -> None:
    home = Home(tmp_path)
    half = environment(home, "half.removing", 60)
    assert make_room(home, "new", 10**9, now=lambda: NOW) == []
    assert not half.exists()

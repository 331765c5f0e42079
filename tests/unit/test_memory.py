"""How much memory there is: the machine's, or what a container leaves of it."""

from __future__ import annotations

from pathlib import Path

from nightbench.memory import available_bytes


def test_a_machine_says_what_is_available(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       100 kB\nMemAvailable:    50 kB\n")
    assert available_bytes(meminfo, tmp_path) == 50 * 1024


def test_a_container_may_leave_less(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemAvailable:    50 kB\n")
    (tmp_path / "memory.max").write_text("10000\n")
    (tmp_path / "memory.current").write_text("4000\n")
    assert available_bytes(meminfo, tmp_path) == 6000
    (tmp_path / "memory.max").write_text("max\n")
    assert available_bytes(meminfo, tmp_path) == 50 * 1024


def test_where_nothing_is_told_a_little_is_assumed(tmp_path: Path) -> None:
    assert available_bytes(tmp_path / "none", tmp_path) == 4_000_000_000
    assert available_bytes() > 0

"""A second user of the machine, for real: reads the history where the group is named, and nothing
else of the home; without the group, nothing at all."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nightbench.dashboards import swanlab_mirror
from nightbench.home.paths import Home
from nightbench.suite.models import SwanlabSettings
from tests.benchmarks.synthetic_nights import Shape, run_id_of, spool_night
from tests.colleague import COLLEAGUE, can_be_colleague, python_as_colleague

pytestmark = pytest.mark.skipif(
    not can_be_colleague(), reason="needs root, setpriv, and a Python that `nobody` may run"
)

TEAM = 61234  # a group of the kernel's alone: no file of the system names it
SHAPE = Shape(targets=("starter", "second"), telemetry=1)
NIGHTBENCH = ["-m", "nightbench.cli.main"]
SORTS_MUCH = "SELECT max(v) FROM (SELECT hash(range)::varchar v FROM range(3000000) ORDER BY v)"
LARGER_THAN_MEMORY = f"""
import duckdb, os, pathlib, nightbench.history
kept = duckdb.connect
def small(*args, config, **kw):
    return kept(*args, config=config | {{"memory_limit": "60MB", "threads": "1"}}, **kw)
duckdb.connect = small
with nightbench.history.open() as history:
    rows = history.sql({SORTS_MUCH!r}).rows
    [spilled] = pathlib.Path(os.environ["TMPDIR"]).iterdir()
    print()
    print(oct(spilled.stat().st_mode)[-3:], len(rows))
"""
LISTS_WHAT_IT_CAN_READ = """
import os, sys
for folder, folders, files in os.walk(sys.argv[1]):
    for name in files:
        try:
            open(os.path.join(folder, name), "rb").close()
        except PermissionError:
            continue
        print(os.path.relpath(os.path.join(folder, name), sys.argv[1]))
"""


@pytest.fixture
def home() -> Iterator[Home]:
    """A home with everything in it that nights make, where a colleague can get to its door."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    home = Home(folder / "home")
    for night in range(3):
        spool_night(home.spool, night, SHAPE)
    for name in ("logs", "prefect", "engines", "models"):
        (home.root / name).mkdir()
        (home.root / name / "a-file").write_text("not for colleagues")
    yield home
    shutil.rmtree(folder)


def land(home: Home, group: str = "") -> None:
    """As the owner types it."""
    env = os.environ | {"NIGHTBENCH_HOME": str(home.root), "NIGHTBENCH_GROUP": group}
    subprocess.run([sys.executable, *NIGHTBENCH, "land"], env=env, check=True, capture_output=True)


def colleague(
    home: Home, *arguments: str, gid: int | None = TEAM, **env: str
) -> subprocess.CompletedProcess[str]:
    """A colleague with NIGHTBENCH_HOME pointing at the home."""
    named = {"PATH": os.defpath, "NIGHTBENCH_HOME": str(home.root)}
    return python_as_colleague(arguments, named | env, gid=gid)


def tree(home: Home) -> set[tuple[str, int, int]]:
    """Every path of the home, its permissions and when it was changed."""
    paths = [home.root, *home.root.rglob("*")]
    return {(str(p), stat.S_IMODE((s := p.lstat()).st_mode), s.st_mtime_ns) for p in paths}


def readable_by_others(home: Home) -> list[str]:
    """What anybody but the owner might read, links apart: what they lead to counts."""
    paths = [home.root, *home.root.rglob("*")]
    return [str(p) for p in paths if not p.is_symlink() and p.lstat().st_mode & 0o077]


def test_without_a_group_nothing_is_anybody_else_s(home: Home) -> None:
    land(home)
    assert str(home.root) not in readable_by_others(home)  # nobody passes it
    for gid in (None, TEAM):
        assert colleague(home, "-c", LISTS_WHAT_IT_CAN_READ, str(home.root), gid=gid).stdout == ""
        answer = colleague(home, *NIGHTBENCH, "sql", "SELECT 1", gid=gid)
        assert answer.returncode == 1
        assert "you may not read the history in" in answer.stderr
        assert "NIGHTBENCH_GROUP" in answer.stderr


def test_a_colleague_asks_the_history_and_leaves_nothing_behind(home: Home) -> None:
    land(home, str(TEAM))
    before = tree(home)
    for arguments in (
        ("history",),
        ("show", "latest"),
        ("show", "latest", "--samples", "all"),
        ("sql", "SELECT count(*) FROM load_chunks", "--format", "csv"),
        ("sql", "--query", "latest_night"),
    ):
        answer = colleague(home, *NIGHTBENCH, *arguments)
        assert (answer.returncode, answer.stderr) == (0, ""), arguments
        assert len(answer.stdout.splitlines()) > 1
    assert tree(home) == before


def test_a_colleague_s_question_may_be_larger_than_the_memory(home: Home) -> None:
    land(home, str(TEAM))
    before = tree(home)
    own = home.root.parent / "of-the-colleague"
    own.mkdir()
    os.chown(own, COLLEAGUE, -1)
    answer = colleague(home, "-c", LARGER_THAN_MEMORY, TMPDIR=str(own))
    assert answer.stderr == ""
    assert answer.stdout.split()[-2:] == ["700", "1"]  # the folder it spilled into, the rows
    assert tree(home) == before
    assert list(own.iterdir()) == []


def test_a_colleague_reads_the_copy_and_its_facts_and_nothing_else(home: Home) -> None:
    land(home, str(TEAM))
    swanlab_mirror.mirror_run(home, run_id_of(0), SwanlabSettings(), mode="local")
    history = str(home.history)
    seen = colleague(home, "-c", LISTS_WHAT_IT_CAN_READ, history).stdout.split()
    assert "history.duckdb" in seen
    others = [p for p in seen if p != "history.duckdb" and not p.endswith(".parquet")]
    assert others == []
    facts = {str(path.relative_to(home.history)) for path in home.history.rglob("*.parquet")}
    assert facts
    assert facts <= set(seen)
    # Its root cannot be listed; by name, nothing else can be reached either.
    assert colleague(home, "-c", LISTS_WHAT_IT_CAN_READ, str(home.root)).stdout == ""
    for name in ("spool", "logs", "prefect", "engines", "models", "dashboards"):
        listed = colleague(
            home, "-c", "import os, sys; os.listdir(sys.argv[1])", f"{home.root}/{name}"
        )
        assert "PermissionError" in listed.stderr, name
        opened = colleague(
            home, "-c", "import sys; open(sys.argv[1])", f"{home.root}/{name}/a-file"
        )
        assert "PermissionError" in opened.stderr, name


def test_a_stranger_reads_nothing_of_a_home_with_a_group(home: Home) -> None:
    land(home, str(TEAM))
    for folder in (home.root, home.history, home.history / "nights"):
        seen = colleague(home, "-c", LISTS_WHAT_IT_CAN_READ, str(folder), gid=None)
        assert seen.stdout == ""
    answer = colleague(home, *NIGHTBENCH, "history", gid=None)
    assert "you may not read the history in" in answer.stderr


def test_a_colleague_cannot_write(home: Home) -> None:
    land(home, str(TEAM))
    before = tree(home)
    for arguments in (("land",), ("watch",), ("run",), ("engines", "build", "auto")):
        answer = colleague(home, *NIGHTBENCH, *arguments)
        assert answer.returncode == 2, arguments
        assert "belongs to root: only that user runs nights in it" in answer.stderr
    assert tree(home) == before


def test_what_a_colleague_cannot_look_into_is_said(home: Home) -> None:
    land(home)
    listed = colleague(home, *NIGHTBENCH, "engines", "list")
    assert listed.stderr.startswith(f"nightbench: permission denied: {home.engines}")
    leases = home.root.parent / "leases"
    leases.mkdir()
    os.chown(leases, COLLEAGUE, -1)
    doctor = colleague(home, *NIGHTBENCH, "doctor", NIGHTBENCH_LEASES=str(leases))
    assert "Traceback" not in doctor.stderr
    assert "engine vllm-cpu" in doctor.stdout


def test_the_history_is_closed_again_when_the_group_is_gone(home: Home) -> None:
    land(home, str(TEAM))
    assert colleague(home, *NIGHTBENCH, "history").returncode == 0
    land(home)
    assert colleague(home, *NIGHTBENCH, "history").returncode == 1
    assert [p for p in readable_by_others(home) if "history" in p] == []


def test_what_lands_and_is_merged_later_is_open_too(home: Home) -> None:
    land(home, str(TEAM))
    for night in range(3, 6):
        spool_night(home.spool, night, SHAPE)
        land(home, str(TEAM))
    assert list(home.history.glob("nights/*/+merged-*"))
    asked = "SELECT count(DISTINCT run_id) FROM load_chunks"
    answer = colleague(home, *NIGHTBENCH, "sql", asked, "--format", "csv")
    assert answer.stdout.split() == ["count(DISTINCT", "run_id)", "6"]

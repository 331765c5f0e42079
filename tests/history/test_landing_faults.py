"""Landing under fire: killed at any moment, raced, out of disk. No row lost, none twice."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nightbench.history.duckdb_files.rebuilding import rebuild
from nightbench.history.ingest import land
from nightbench.history.reading import open_history
from nightbench.history.store import Retention
from nightbench.history.tables import TABLES
from nightbench.home.paths import Home
from tests.benchmarks.synthetic_nights import Shape, spool_night
from tests.history import worlds

SHAPE = Shape(targets=("a", "b", "c"), levels=(1, 4), requests=20, samples=10)
NIGHTS = 4
KILLS = int(os.environ.get("NIGHTBENCH_KILLS", "20"))  # the whole proof: 100
KEPT = Retention({"load_chunks": 2})
# Nights are merged, chunk times retired, and what may go is removed as soon as it may.
LANDER = (
    "import sys; from pathlib import Path; from nightbench.home.paths import Home\n"
    "from nightbench.history.ingest import land\n"
    "from nightbench.history.duckdb_files.rebuilding import rebuild\n"
    "from nightbench.history.store import Retention\n"
    "home, kept = Home(Path(sys.argv[1])), Retention({'load_chunks': 2})\n"
    "print('go', flush=True)\n"
    "if sys.argv[2] == 'rebuild':\n"
    "    rebuild(home)\n"
    "else:\n"
    "    report = land(home, deadline_s=60, retention=kept, reader_grace_s=0)\n"
    "    assert not report.damaged, report.damaged\n"
)


def lander(home: Home, what: str = "land") -> subprocess.Popen[str]:
    """A lander that has imported everything and begins when this returns."""
    process = subprocess.Popen(
        [sys.executable, "-c", LANDER, str(home.root), what],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def digests(home: Home) -> dict[str, object]:
    """Count and order-free digest of every table's rows."""
    with open_history(home) as history:
        return {
            table.name: history.sql(f"SELECT count(*), sum(hash(t)) FROM {table.name} AS t").rows
            for table in TABLES
        }


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], float]:
    """What a landing without trouble gives, and how long it takes."""
    home = Home(tmp_path_factory.mktemp("sound"))
    for night in range(NIGHTS):
        spool_night(home.spool, night, SHAPE)
    process = lander(home)
    began = time.monotonic()
    assert process.wait() == 0
    lasted = time.monotonic() - began
    process.communicate()
    return digests(home), lasted


def land_whole(home: Home) -> None:
    """A landing that nobody kills, of the same kind."""
    report = land(home, retention=KEPT, reader_grace_s=0)
    assert (report.damaged, report.findings) == ([], [])


@pytest.mark.timeout(60 + 20 * KILLS)
def test_a_lander_killed_at_random_moments_loses_nothing(
    tmp_path: Path, sound: tuple[dict[str, object], float]
) -> None:
    expected, lasted = sound
    rng = random.Random(20)
    killed = 0
    attempt = 0
    worlds.make_canaries(tmp_path)
    canaries = worlds.canaries(tmp_path)
    while killed < KILLS:
        attempt += 1
        home = Home(tmp_path / f"home{attempt}")
        landed = 0
        for _ in range(4):  # the next lander is killed as well, on what the last one left
            if landed < NIGHTS:  # a night after another, so that there is something to merge
                spool_night(home.spool, landed, SHAPE)
                landed += 1
            process = lander(home)
            time.sleep(rng.uniform(0, 0.6 * lasted))
            os.kill(process.pid, signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
            process.communicate()
            if (home.history / "history.duckdb").exists():
                digests(home)  # what is published can be read, whole, at any time
        land_whole(home)
        assert digests(home) == expected
        assert list(home.spool.iterdir()) == []
        rebuild(home)
        assert digests(home) == expected
        shutil.rmtree(home.root)
    assert worlds.canaries(tmp_path) == canaries


def test_a_rebuild_killed_at_random_moments_loses_nothing(
    tmp_path: Path, sound: tuple[dict[str, object], float]
) -> None:
    home = Home(tmp_path)
    for night in range(NIGHTS):
        spool_night(home.spool, night, SHAPE)
    land_whole(home)
    rng = random.Random(3)
    for _ in range(max(5, KILLS // 4)):
        process = lander(home, "rebuild")
        time.sleep(rng.uniform(0, sound[1]))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.communicate()
        assert digests(home) == sound[0]
        land_whole(home)
        assert digests(home) == sound[0]


def test_two_landers_racing_land_everything_once(
    tmp_path: Path, sound: tuple[dict[str, object], float]
) -> None:
    home = Home(tmp_path)
    for night in range(NIGHTS):
        spool_night(home.spool, night, SHAPE)
    racing = [lander(home) for _ in range(3)]
    outcomes = [(process.wait(), process.communicate()[1]) for process in racing]
    assert [code for code, _ in outcomes] == [0, 0, 0], outcomes
    assert digests(home) == sound[0]


def test_readers_are_never_in_the_way_and_never_see_half_a_night(
    tmp_path: Path, sound: tuple[dict[str, object], float]
) -> None:
    home = Home(tmp_path)
    spool_night(home.spool, 0, SHAPE)
    land(home)
    for night in range(1, NIGHTS):
        spool_night(home.spool, night, SHAPE)
        process = lander(home)
        looks = 0
        while process.poll() is None or looks == 0:
            with open_history(home) as history:
                levels, requests = history.sql(
                    "SELECT (SELECT count(*) FROM load_levels),"
                    " (SELECT count(*) FROM load_requests)"
                ).rows[0]
            assert requests == int(str(levels)) * SHAPE.requests
            looks += 1
        assert process.returncode == 0
        process.communicate()
    assert digests(home) == sound[0]


def land_from_terminal(home: Home, *, file_limit_kib: int | None = None) -> str:
    """What `nightbench land` says where it cannot write; it must fail, without a traceback."""
    limit = (
        ""
        if file_limit_kib is None
        else (
            "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            f"resource.setrlimit(resource.RLIMIT_FSIZE, ({file_limit_kib * 1024},) * 2)\n"
        )
    )
    done = subprocess.run(
        [
            *(sys.executable, "-c"),
            f"import sys\n{limit}from nightbench.cli.main import main\nsys.exit(main(['land']))\n",
        ],
        env=os.environ | {"NIGHTBENCH_HOME": str(home.root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("room_kib", [0, 300, 1500, 2600])
def test_a_file_that_cannot_grow_loses_nothing_and_says_so(
    tmp_path: Path, sound: tuple[dict[str, object], float], room_kib: int
) -> None:
    home = Home(tmp_path)
    for night in range(NIGHTS):
        spool_night(home.spool, night, SHAPE)
    assert "nightbench land" in land_from_terminal(home, file_limit_kib=room_kib)
    land_whole(home)
    assert digests(home) == sound[0]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, to be made full."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if not resize(disk, 64_000, "mount", "-t", "tmpfs", "tmpfs"):
        pytest.skip("this user may not mount a file system")
    yield disk
    subprocess.run(["umount", disk], check=True)


def resize(disk: Path, size_kib: int, *mount: str | Path) -> bool:
    """Give the disk another size; with `mount`, its first."""
    command = mount or ("mount", "-o", "remount")
    options = ["-o", f"size={size_kib}k"]
    done = subprocess.run([*command, *options, disk], check=False, stderr=subprocess.DEVNULL)
    return done.returncode == 0


@pytest.mark.parametrize("free_kib", [16, 1000, 2000, 3000])
def test_a_full_disk_loses_nothing_and_says_so(
    small_disk: Path, sound: tuple[dict[str, object], float], free_kib: int
) -> None:
    home = Home(small_disk / "home")
    for night in range(NIGHTS):
        spool_night(home.spool, night, SHAPE)
    usage = os.statvfs(small_disk)
    used_kib = (usage.f_blocks - usage.f_bfree) * usage.f_bsize // 1024
    assert resize(small_disk, used_kib + free_kib)
    assert "`nightbench land`" in land_from_terminal(home)
    assert resize(small_disk, 64_000)
    land_whole(home)
    assert digests(home) == sound[0]
    rebuild(home)
    assert digests(home) == sound[0]

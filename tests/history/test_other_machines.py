"""A home that `cp -r` brought to another machine, for real: another user, another path, another
host and boot. It is opened, answers what it answered, and takes what comes after."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nightbench.home.paths import Home
from tests.colleague import COLLEAGUE, as_colleague, can_be_colleague
from tests.history import worlds

REPOSITORY = Path(__file__).parents[2]
HOST, BOOT = "another-machine", "00000000-1111-2222-3333-444444444444"
CLOCK = "check clock failed: "
ELSEWHERE = (
    "hostname {host} && mount --bind {boot} /proc/sys/kernel/random/boot_id && "
    'mount --bind "$1" "$1" && mount -t tmpfs none "$2" && shift 2 && exec "$@"'
)
WHERE = "import socket; print(socket.gethostname(), open('/proc/sys/kernel/random/boot_id').read())"
SPOOL_ANOTHER = f"""
import sys
from nightbench.home.paths import Home
from tests.benchmarks.synthetic_nights import spool_night
from tests.history import worlds
spool_night(Home.from_env().spool, {worlds.NIGHTS + 1}, worlds.SHAPE)
"""
COUNTS = "SELECT {} FROM (SELECT 1)".format(
    ", ".join(
        f"(SELECT count(*) FROM {name}) AS {name}"
        for name in ("runs", "targets", "accuracy_samples", "load_requests", "load_chunks")
    )
)


class Machine:
    """A machine of `nobody`'s with a copy of a home, where the first one's disk is not."""

    def __init__(self, folder: Path, gone: Path, name: str = "the copy, it's theirs") -> None:
        self.folder, self.gone = folder, gone
        self.home = Home(folder / name)
        (folder / "boot_id").write_text(BOOT + "\n")

    def take(self, home: Home) -> None:
        """As who has no more of it than a copy does."""
        subprocess.run(["cp", "-r", str(home.root), str(self.home.root)], check=True)
        subprocess.run(["chown", "-R", str(COLLEAGUE), str(self.folder)], check=True)

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Our Python, as that user on that machine."""
        env = {
            "PATH": os.defpath,
            "HOME": str(self.folder),
            "NIGHTBENCH_HOME": str(self.home.root),
            "NIGHTBENCH_LEASES": str(self.folder / "leases"),
            "COLUMNS": "200",
            "PYTHONPATH": str(REPOSITORY),
        }
        script = ELSEWHERE.format(host=HOST, boot=f"'{self.folder}/boot_id'")
        away = ["sh", "-c", script, "sh", str(self.folder), str(self.gone)]
        return subprocess.run(
            [
                "unshare",
                "--uts",
                "--mount",
                *away,
                *as_colleague([sys.executable, "-B", *arguments]),
            ],
            env=env,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )

    def says(self, *arguments: str) -> str:
        """What a command of ours prints there; it must go well, and complain of nothing but that
        the clock is months ahead of these made-up nights."""
        done = self.python("-m", "nightbench.cli.main", *arguments)
        said = [line for line in done.stderr.splitlines() if not line.startswith(CLOCK)]
        assert (done.returncode, said) == (0, []), (arguments, done.stdout)
        return done.stdout

    def counts(self) -> dict[str, int]:
        """How many rows the history has there."""
        [row] = json.loads(self.says("sql", COUNTS, "--format", "json"))
        return dict(row)


def can_be_elsewhere() -> bool:
    """Whether this process can be another user on what looks like another machine."""
    if not can_be_colleague() or shutil.which("unshare") is None:
        return False
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as gone:
        Path(folder).chmod(0o755)
        said = Machine(Path(folder), Path(gone)).python("-c", WHERE).stdout
        return said.split() == [HOST, BOOT]


pytestmark = pytest.mark.skipif(
    not can_be_elsewhere(), reason="needs root that may unshare and mount, and setpriv"
)


@pytest.fixture
def first() -> Iterator[Home]:
    """A home of root's with nights of every kind, a sealed one and a crashed run still to land."""
    folder = Path(tempfile.mkdtemp())
    worlds.make(Home(folder / "home"))
    yield Home(folder / "home")
    shutil.rmtree(folder)


@pytest.fixture
def machine(first: Home) -> Iterator[Machine]:
    """The other machine, with the copy on it."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    machine = Machine(folder, first.root.parent)
    machine.take(first)
    yield machine
    shutil.rmtree(folder)


def test_a_copy_answers_there_what_it_answered_here(first: Home, machine: Machine) -> None:
    for arguments in (
        ("history",),
        ("show", "latest"),
        ("show", "latest", "--samples", "all"),
        ("sql", "SELECT * FROM load_chunks ORDER BY ALL", "--format", "csv"),
        ("sql", "--query", "latest_night"),
    ):
        here = worlds.nightbench(first, *arguments)
        assert here.returncode == 0, here.stderr
        assert machine.says(*arguments) == here.stdout, arguments


def test_a_copy_lands_there_what_was_waiting_and_what_comes_after(
    first: Home, machine: Machine
) -> None:
    landed = worlds.nightbench(first, "land")
    assert landed.returncode == 0, landed.stderr
    expected = dict(
        json.loads(worlds.nightbench(first, "sql", COUNTS, "--format", "json").stdout)[0]
    )
    before = machine.counts()
    machine.says("land")
    assert machine.counts() == expected
    assert expected["runs"] > before["runs"]

    assert machine.python("-c", SPOOL_ANOTHER).stderr == ""
    machine.says("land")
    assert machine.counts()["runs"] == expected["runs"] + 1
    now = machine.counts()
    machine.says("land", "--rebuild")
    assert machine.counts() == now
    owners = {path.lstat().st_uid for path in machine.home.root.rglob("*")}
    assert owners == {COLLEAGUE}


def test_a_copy_that_is_copied_back_is_as_good(first: Home, machine: Machine) -> None:
    machine.says("land")
    counts = machine.counts()
    back = Home(first.root.with_name("home-again"))
    subprocess.run(["cp", "-r", str(machine.home.root), str(back.root)], check=True)
    shutil.rmtree(first.root)
    assert worlds.nightbench(back, "land").returncode == 0
    answer = worlds.nightbench(back, "sql", COUNTS, "--format", "json")
    assert json.loads(answer.stdout) == [counts]

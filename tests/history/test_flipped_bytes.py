"""A byte that is not as it was written, anywhere: the history is right, or says what is wrong.

    python -m tests.history.test_flipped_bytes 1000        # that many, with what became of them

One bit of one file is flipped (its times are kept, as a failing disk keeps them); then everything
is recovered, landed, asked and rebuilt. No row of another folder may be lost, none doubled or
changed, nothing around the home touched, and nothing may end in anything but a HistoryError.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from nightbench.errors import HistoryError
from nightbench.home.paths import Home
from tests.history import worlds
from tests.history.worlds import Rows

FLIPS = int(os.environ.get("NIGHTBENCH_FLIPS", "40"))
# A lander that dies when its transaction is in the log and nothing has moved.
KILLED_AFTER_COMMIT = (
    "import os, sys; from pathlib import Path; from nightbench.home.paths import Home\n"
    "from nightbench.history.duckdb_files import ingest_folders\n"
    "from tests.history import worlds\n"
    "ingest_folders._keep_all = lambda sealed: os._exit(9)\n"
    "worlds.recover_and_land(Home(Path(sys.argv[1])))\n"
)


@dataclass(frozen=True)
class Worlds:
    """Histories to be damaged, and what each comes to when it is not."""

    plain: Home
    logged: Home  # its last lander was killed: the log of the landing file holds a night
    expected: Rows
    before: Rows  # what was published before the spool is landed


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Worlds:
    return make_worlds(tmp_path_factory.mktemp("worlds"))


def make_worlds(folder: Path) -> Worlds:
    plain = Home(folder / "home")
    worlds.make(plain)
    logged = worlds.copy(plain, folder / "home-logged")
    command = [sys.executable, "-c", KILLED_AFTER_COMMIT, str(logged.root)]
    assert subprocess.run(command, check=False, cwd=Path(__file__).parents[2]).returncode == 9
    assert (logged.history / "landing.duckdb.wal").exists()
    done = worlds.copy(plain, folder / "home-done")
    before = worlds.rows(done)
    assert worlds.recover_and_land(done)[1] == []
    expected = worlds.rows(done)
    assert worlds.rebuild_saying(done) == []
    assert worlds.rows(done) == expected, (
        "a rebuilt history is the same in every row of every table"
    )
    return Worlds(plain, logged, expected, before)


def files_of(home: Home) -> list[Path]:
    """Every file that holds a byte."""
    found = [
        path for path in sorted(home.root.rglob("*")) if path.is_file() and path.stat().st_size
    ]
    return [path for path in found if path.name != "landing.lock"]


def kind_of(path: Path, home: Home) -> str:
    parts = path.relative_to(home.root).parts
    if parts[0] == "spool":
        state = "open" if parts[2].endswith(".open") else "sealed"
        return f"{state} {'identity.json' if path.stem == 'identity' else path.suffix[1:]}"
    if len(parts) == 2:
        return path.name
    where = "merged" if parts[3].startswith("+") else "loose"
    return f"{where} {path.name if path.suffix in ('.json', '.retired') else 'parquet'}"


def flip(path: Path, rng: random.Random) -> int:
    """Flip one bit; the file's times stay. Returns where."""
    times = path.stat()
    content = bytearray(path.read_bytes())
    at = rng.randrange(len(content))
    content[at] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return at


def live_through(home: Home) -> list[str]:
    """What a night of care makes of it; everything that was said."""
    said = []
    try:
        said += worlds.recover_and_land(home)[1]
    except HistoryError as error:
        said.append(str(error))
    said += worlds.rebuild_saying(home)
    try:
        said += worlds.recover_and_land(home)[1]  # what a damaged landing file kept out
    except HistoryError as error:
        said.append(str(error))
    return said


def judge(path: Path, expected: Rows, now: Rows, said: list[str]) -> str:
    """Which class of outcome it is; fails where it is none."""
    told = "\n".join(said)
    here = "/".join(path.parts[-3:])
    named = any(word in told for word in (path.name, path.parent.name, _owner(path)))
    missing = worlds.lost(_comparable(expected, named), _comparable(now, named))
    more = worlds.added(_comparable(expected, named), _comparable(now, named))
    assert not more, f"{here}: rows that nobody wrote: {more}\n{told}"
    if not missing:
        return "right, and named" if said else "right"
    assert named, f"{here}: rows are lost and nobody says so: {missing}\n{told}"
    mine = _marks(path)
    foreign = {
        name: [row for row in of_table if not any(mark in row for mark in mine)]
        for name, of_table in missing.items()
    }
    assert not any(foreign.values()), f"{here}: rows of others are lost: {foreign}\n{told}"
    return "named, rows of it left out"


def _comparable(rows: Rows, named: bool) -> Rows:
    """With damage named, the same rows may lie in other files, have landed at another time, out of
    a folder that is sealed otherwise, into a file that is new."""
    if not named:
        return rows
    kept = {n: of_table for n, of_table in rows.items() if n not in ("fact_files", "landings")}
    landings = Counter(f"{row.split(')')[0]})" for row in rows["landings"].elements())
    return kept | {"landings": landings, "schema_migrations": Counter()}


def _owner(path: Path) -> str:
    """run/target of the folder that a file of the spool lies in."""
    return f"{path.parent.parent.name}/{path.parent.stem}"


def _marks(path: Path) -> list[str]:
    """What every row of the damaged folder has in it: its run and target, or its night."""
    for part in path.parts:
        if part.startswith("night="):
            year, month, day = (int(number) for number in part.removeprefix("night=").split("-"))
            return [f"datetime.date({year}, {month}, {day})"]
    return [path.parent.parent.name]


def try_one(whole: Worlds, folder: Path, rng: random.Random) -> tuple[str, str]:
    """Flip a bit of a copy; (kind of file, class of outcome)."""
    logged = rng.random() < 0.1
    home = worlds.copy(whole.logged if logged else whole.plain, folder / "home")
    worlds.make_canaries(folder)
    canaries = worlds.canaries(folder)
    files = files_of(home)
    kinds = sorted({kind_of(path, home) for path in files})
    kind = "landing.duckdb.wal" if logged else rng.choice(kinds)
    path = rng.choice([path for path in files if kind_of(path, home) == kind])
    flip(path, rng)
    if kind == "history.duckdb":
        assert worlds.rows(home) == whole.before
    said = live_through(home)
    outcome = judge(path, whole.expected, worlds.rows(home), said)
    assert worlds.canaries(folder) == canaries
    return kind, outcome


@pytest.mark.timeout(600)
def test_a_flipped_byte_is_harmless_or_named(whole: Worlds, tmp_path: Path) -> None:
    for number in range(FLIPS):
        folder = tmp_path / str(number)
        folder.mkdir()
        try_one(whole, folder, random.Random(f"flip {number}"))


def main(count: int) -> None:
    """Many, with a word on each kind."""
    outcomes: Counter[tuple[str, str]] = Counter()
    failures = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as base:
        whole = make_worlds(Path(base))
        for number in range(count):
            with tempfile.TemporaryDirectory(dir=base) as folder:
                try:
                    outcomes[try_one(whole, Path(folder), random.Random(f"flip {number}"))] += 1
                except Exception as error:  # noqa: BLE001 - the next one is of interest too
                    failures.append(f"{number}: {type(error).__name__}: {str(error)[:1500]}")
                    print(failures[-1], flush=True)
    for (kind, outcome), times in sorted(outcomes.items()):
        print(f"{times:5d}  {kind}: {outcome}")
    print(f"{count} flips, {len(failures)} that fall short, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""Looks for canaries: in files, in databases, and in the processes that run meanwhile."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import sqlite3
import tempfile
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from nightbench.serving.processes import descendants
from tests.security.canary_scene import MADE, UP, WATCH, Scene

PART = 12
MOST_BYTES = 8 << 20  # of a temporary file that is read while it is there
# Which processes need which secrets in their environment, by a word of their command line.
# A worker runs whatever suite is chosen: it has what suites may name, and nothing of the server's.
FLOW_RUNS = {
    *("target", "other target", "header", "hub", "dashboard", "alert", "proxy", "cloud"),
    *("passed on", UP),
}
NEEDS = {
    "prefect.server": {"database", "prefect", "blocks", "proxy", UP},
    "worker\0start": FLOW_RUNS,
    "prefect.engine": FLOW_RUNS,
    "prefect\0--no-prompt": {"proxy", UP},
    "swanlab_board": {"proxy", WATCH},
    "swanlab_mirror": {"dashboard", "proxy"},
    "echoing_engine": {"passed on", "proxy", MADE},
    "supervisor.py": {"passed on", "proxy", MADE},  # the engine's parent, once it has become it
    "unshare": {"passed on", "proxy", MADE, "database", "prefect", "blocks"},
    "": {"proxy"},
}


class Watch:
    """Reads the command lines and environments of all that a process starts, while it lives."""

    def __init__(self, scene: Scene, root: int) -> None:
        self._scene, self._root = scene, root
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._own = read_proc(root, "cmdline")

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        for turn in itertools.count():
            if self._over.wait(0.02):
                return
            for pid in (self._root, *descendants(self._root)):
                self._look(pid)
            if turn % 40 == 0:
                self._look_into_temporary_files()

    def _look_into_temporary_files(self) -> None:
        """They are gone afterwards, or not, if somebody is killed. What servers say while they are
        measured lies there as it came (docs/security.md)."""
        for path in (self._scene.root / "tmp").rglob("*"):
            with suppress(OSError):
                if path.suffix != ".raw" and path.is_file() and path.stat().st_size < MOST_BYTES:
                    look_into(self._scene, path, [path.read_bytes().decode("latin-1")])

    def _look(self, pid: int) -> None:
        argv, env = read_proc(pid, "cmdline"), read_proc(pid, "environ")
        scene, own = self._scene, read_proc(self._root, "cmdline")
        scene.learn_passwords()
        canaries = list(scene.canaries.items())
        for kind, value in canaries:
            if parts_in(argv, value):
                scene.leaks.append((kind, "a command line", argv[:120]))
        if not argv or argv in (own, self._own):
            return  # it, or a child of it that has not become another program yet
        needed = next(NEEDS[word] for word in NEEDS if word in argv)
        scene.watched.add(next(word for word in NEEDS if word in argv))
        for kind, value in canaries:
            if kind not in needed and parts_in(env, value):
                scene.leaks.append((kind, "an environment", argv.replace("\0", " ")[:120]))


def read_proc(pid: int, what: str) -> str:
    """A file of /proc as text, "" where it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/{what}").read_bytes().decode(errors="replace")
    return ""


def parts_in(text: str, value: str) -> list[str]:
    """What of a secret is in a text: parts of 12 characters, and encodings of the whole."""
    found = [value[at : at + PART] for at in range(len(value) - PART + 1)]
    found += [value.encode().hex(), value.encode().hex().upper()]
    found += [urllib.parse.quote(value, safe=""), "".join(f"\\u{ord(c):04x}" for c in value)]
    for lead in range(3):
        found.append(base64.b64encode(b"x" * lead + value.encode()).decode()[4:40])
    return [part for part in found if part in text]


def texts_of(path: Path) -> Iterator[str]:
    """A file's bytes as text and, of what compresses, its contents."""
    yield path.read_bytes().decode("latin-1")
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        yield str(pq.read_table(path).to_pylist())
    elif path.suffix == ".duckdb":
        yield from _duckdb_rows(path)
    elif path.suffix == ".db":
        with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(path)) as database:
            yield "\n".join(database.iterdump())


def _duckdb_rows(path: Path) -> Iterator[str]:
    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copy(path, Path(folder) / "copy.duckdb")
        with closing(duckdb.connect(copy, read_only=True)) as database:
            database.execute(f"SET VARIABLE nightbench_history = '{path.parent}/'")
            for (table,) in database.execute("SELECT table_name FROM duckdb_tables()").fetchall():
                yield str(database.execute(f'SELECT * FROM "{table}"').fetchall())


def search(scene: Scene) -> int:
    """Search every file; returns how many there were."""
    scene.learn_passwords()
    for line in scene.told.read_text().splitlines() if scene.told.exists() else ():
        scene.canaries[f"{MADE} {len(scene.canaries)}"] = json.loads(line)["key"]
    files = [p for p in scene.root.rglob("*") if p.is_file() and scene.inputs not in p.parents]
    # A write-ahead log goes when its database is opened: it is read first.
    for path in sorted(files, key=lambda path: not path.name.endswith(("-wal", "-shm"))):
        look_into(scene, path, list(texts_of(path)))
    return len(files)


def look_into(scene: Scene, path: Path, texts: list[str]) -> None:
    """Note what a file tells. `serve` means to show the key it made, and a password is kept in a
    file of its own."""
    for kind, value in list(scene.canaries.items()):
        meant = kind.startswith(MADE) and path.name.endswith("-serve.txt")
        meant |= scene.passwords.get(kind) == path
        found = [] if meant else [part for text in texts for part in parts_in(text, value)]
        if found:
            scene.leaks.append((kind, str(path.relative_to(scene.root)), found[0]))


def told_names(scene: Scene) -> set[str]:
    """The variables that engines were given."""
    lines = scene.told.read_text().splitlines() if scene.told.exists() else []
    return {name for line in lines for name in json.loads(line)["names"]}

"""Manifests, identities and merged nights as somebody might write them who means no good.

`signed` says that the forger knows how to sign: the digest fits. Without it, only a fool did it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nightbench.history.spool import checked_json
from nightbench.history.spool.manifest import sha256_of

Members = dict[str, Any]
Change = Callable[[Members], object]
Forge = Callable[[Path], object]


def rewrite(path: Path, change: Change, *, signed: bool = True) -> None:
    """Change the members of a JSON file, and sign it again."""
    members = json.loads(path.read_text())
    digest = members.pop("digest", None)
    change(members)
    if signed:
        path.write_text(checked_json.text_of(checked_json.signed(members)))
    else:
        path.write_text(json.dumps(members | ({} if digest is None else {"digest": digest})))


def manifest(change: Change, *, signed: bool = True) -> Forge:
    """What changes a sealed folder's manifest."""
    return lambda folder: rewrite(folder / "manifest.json", change, signed=signed)


def identity(**values: object) -> Forge:
    """What makes a sealed folder say that it is of something else."""
    return manifest(lambda members: members["identity"].update(values))


def entry(of: str = "load_levels", **values: object) -> Forge:
    """What changes a file of a sealed folder's manifest."""

    def change(members: Members) -> None:
        next(file for file in members["files"] if file["table"] == of).update(values)

    return manifest(change)


def replaced(name: str, make: Callable[[Path], object]) -> Forge:
    """Something else in the place of a file."""

    def forge(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return forge


def link(to: str) -> Callable[[Path], object]:
    """A link; `to` is relative to where the canaries are."""
    return lambda path: path.symlink_to(canary_folder(path) / to)


def canary_folder(path: Path) -> Path:
    """The folder around the home that a path lies in."""
    return next(parent for parent in path.parents if (parent / "canary").is_dir())


def other_rows(column: str, value: object) -> Forge:
    """Rows of somebody else, under a manifest that fits them."""

    def forge(folder: Path) -> None:
        path = folder / "load_levels.parquet"
        table = pq.read_table(path)
        index = table.schema.get_field_index(column)
        kind = table.schema.field(column).type
        field = table.schema.field(column)
        rows = table.set_column(index, field, pa.array([value] * table.num_rows, kind))
        fit(folder, rows)

    return forge


def other_type(column: str, kind: pa.DataType) -> Forge:
    """A column of another type: it would end every query of the view."""

    def forge(folder: Path) -> None:
        table = pq.read_table(folder / "load_requests.parquet")
        index = table.schema.get_field_index(column)
        rows = table.set_column(index, column, table[column].cast(kind))
        fit(folder, rows, "load_requests")

    return forge


def another_column(folder: Path) -> None:
    """A column that the table has not."""
    table = pq.read_table(folder / "load_levels.parquet")
    fit(folder, table.append_column("surprise", pa.array([1] * table.num_rows)))


def fit(folder: Path, rows: pa.Table, table: str = "load_levels") -> None:
    """Write rows as the table's file, and a manifest that fits it in every way."""
    path = folder / f"{table}.parquet"
    pq.write_table(rows, path)
    values = {
        "row_count": rows.num_rows,
        "size_bytes": path.stat().st_size,
        "sha256": sha256_of(path),
    }
    entry(table, **values)(folder)


def text(content: str | bytes) -> Forge:
    """A manifest of other text."""
    raw = content if isinstance(content, bytes) else content.encode()
    return lambda folder: (folder / "manifest.json").write_bytes(raw)


def utf16(folder: Path) -> None:
    """The same manifest in another encoding."""
    path = folder / "manifest.json"
    path.write_bytes(path.read_text().encode("utf-16"))


def twice(folder: Path) -> None:
    """The same file named twice: its rows would be doubled."""
    manifest(lambda members: members["files"].append(dict(members["files"][0])))(folder)


def fifo(path: Path) -> None:
    """A pipe that nobody writes to: whoever opens it for reading waits for ever."""
    os.mkfifo(path)


# What is wrong with a sealed folder, and a word of what must be said of it.
SEALED: dict[str, tuple[Forge, str]] = {
    "run id upwards": (identity(run_id="../../../canary"), "run_id"),
    "run id absolute": (identity(run_id="/etc"), "run_id"),
    "run id with a slash": (identity(run_id="a/b"), "run_id"),
    "run id with NUL": (identity(run_id="a\0b"), "run_id"),
    "run id empty": (identity(run_id=""), "run_id"),
    "run id dot": (identity(run_id="."), "run_id"),
    "run id two dots": (identity(run_id=".."), "run_id"),
    "run id with a line end": (identity(run_id="a\n"), "run_id"),
    "run id of 5000 letters": (identity(run_id="a" * 5000), "run_id"),
    "run id a number": (identity(run_id=7), "run_id"),
    "run id of one that landed": (identity(run_id="20260101T000000Z-starter-000000"), "before"),
    "run id of one that is not there": (identity(run_id="somebody-else"), "which is not its name"),
    "target upwards": (identity(target="../starter"), "target"),
    "target a merged folder": (identity(target="+merged-0001"), "target"),
    "target of another": (identity(target="other"), "which is not its name"),
    "target a list": (identity(target=["starter"]), "target"),
    "night upwards": (identity(night="../../x"), "night"),
    "night of year 1": (identity(night="0001-01-01"), "night"),
    "night of year 9999": (identity(night="9999-12-31"), "night"),
    "night in another form": (identity(night="20260105"), "night"),
    "night a number": (identity(night=20260105), "night"),
    "night of another day": (identity(night="2026-01-02"), "not that of its manifest"),
    "hardware class a list": (identity(hardware_class=["cpu"]), "hardware_class"),
    "hardware class of others": (identity(hardware_class="H100 x 8"), "not that of its manifest"),
    "no identity": (manifest(lambda m: m.pop("identity")), "identity"),
    "a member too many": (manifest(lambda m: m.update(surprise=1)), "surprise"),
    "status of its own": (manifest(lambda m: m.update(status="finished")), "status"),
    "sealed at no time": (manifest(lambda m: m.update(sealed_at="yesterday")), "sealed_at"),
    "schema of the future": (manifest(lambda m: m.update(schema_version=99)), "Upgrade"),
    "schema zero": (manifest(lambda m: m.update(schema_version=0)), "schema_version"),
    "schema a text": (manifest(lambda m: m.update(schema_version="3")), "schema_version"),
    "no schema": (manifest(lambda m: m.pop("schema_version")), "schema_version"),
    "file upwards": (entry(path="../other.sealed/load_levels.parquet"), "load_levels"),
    "file absolute": (entry(path="/etc/passwd"), "load_levels"),
    "file with NUL": (entry(path="load_levels\0.parquet"), "load_levels"),
    "file of another table": (entry(path="targets.parquet"), "targets.parquet"),
    "file with a detour": (entry(path="./load_levels.parquet"), "load_levels"),
    "table nobody knows": (entry("servers", table="passwords"), "passwords"),
    "table landings": (entry("servers", table="landings"), "landings"),
    "table twice": (twice, "twice"),
    "fewer than no rows": (entry(row_count=-1), "row_count"),
    "2**70 rows": (entry(row_count=2**70), "row_count"),
    "rows true": (entry(row_count=True), "row_count"),
    "a row more": (entry(row_count=2), "the manifest says 2"),
    "another size": (entry(size_bytes=1), "bytes, its manifest says"),
    "another digest": (entry(sha256="0" * 64), "digest"),
    "no digest": (entry(sha256="../../canary"), "sha256"),
    "files of no list": (manifest(lambda m: m.update(files="all")), "files"),
    "unreadable no list": (manifest(lambda m: m.update(unreadable=[["x"]])), "unreadable"),
    "changed by a fool": (
        manifest(lambda m: m.update(status="failed"), signed=False),
        "changed after it was written",
    ),
    "rows of another run": (other_rows("run_id", "somebody-else"), "not that of its manifest"),
    "rows of another target": (other_rows("target", "other"), "not that of its manifest"),
    "a column of another type": (other_type("ttft_ms", pa.string()), "columns"),
    "a column too many": (another_column, "columns"),
    "a list": (text("[]"), "not a JSON object"),
    "nothing": (text(""), "not JSON"),
    "half": (text('{"schema_version": 3,'), "not JSON"),
    "nested without end": (text("[" * 200_000), "not JSON"),
    "NaN": (text("NaN"), "not a JSON object"),
    "another encoding": (utf16, "manifest.json"),
    "manifest a link": (replaced("manifest.json", link("canary/manifest.json")), "link"),
    "manifest a folder": (replaced("manifest.json", Path.mkdir), "manifest.json"),
    "manifest a pipe": (replaced("manifest.json", fifo), "regular"),
    "facts a link": (replaced("load_levels.parquet", link("canary/runs.parquet")), "link"),
    "facts a folder": (replaced("load_levels.parquet", Path.mkdir), "load_levels"),
    "facts a pipe": (replaced("load_levels.parquet", fifo), "regular"),
    "facts gone": (replaced("load_levels.parquet", lambda path: None), "missing"),
}

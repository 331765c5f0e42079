"""One row, one file, one folder that is wrong costs itself and nothing else."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nightbench.history import tables
from nightbench.history.duckdb_files import housekeeping
from nightbench.history.duckdb_files.condition import condition
from nightbench.history.ingest import LandingReport, land
from nightbench.history.places import HistoryPlaces
from nightbench.history.reading import open_history
from nightbench.history.spool import manifest
from nightbench.history.spool.recovery import Damaged, recover
from nightbench.history.spool.writer import Spool, SpoolIdentity
from nightbench.home.paths import Home
from nightbench.records import ProvenanceRow
from tests.benchmarks.synthetic_nights import (
    FIRST_NIGHT,
    Shape,
    began,
    request_row,
    run_id_of,
    sample_row,
    spool_night,
    spool_target,
    target_row,
)

IDENTITY = SpoolIdentity(run_id="r1", target="t1", night=date(2026, 1, 1))
SHAPE = Shape(targets=("starter", "other"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def count(home: Home, what: str) -> int:
    with open_history(home) as history:
        return int(str(history.sql(f"SELECT count(*) FROM {what}").rows[0][0]))


def open_spool(home: Home) -> Spool:
    spool = Spool.open(home.spool, IDENTITY, now=lambda: began(0))
    spool.append(target_row(0, "t1", status="completed", ended_at=began(0)))
    return spool


def samples(count: int, **wrong: object) -> list[Any]:
    """Samples, the second of them with these values."""
    rows = [sample_row(0, number, correct=True) for number in range(count)]
    rows[1] = dataclasses.replace(rows[1], **wrong)
    return rows


def details(report: LandingReport) -> str:
    return "\n".join(finding.detail for finding in report.findings)


# ------------------------------------------------------------------------------------- rows


ENDLESS: list[object] = []
ENDLESS.append(ENDLESS)
WRONG: dict[str, dict[str, object]] = {
    "a text too many": {"repeat": "first"},
    "a list for a text": {"question": ["what?"]},
    "no text at all": {"gold": None},
    "a flag that is a number": {"correct": 1},
    "half a count": {"repeat": 0.5},
    "2**66 where there must be a count": {"repeat": 2**66},
    "true for a count": {"retries": True},
    "no time": {"asked_at": "soon"},
    "a time before all times": {"asked_at": "0001-01-01T00:00:00+23:59"},
    "bytes": {"subset": b"\xff"},
    "a set": {"subset": {1}},
    "an object": {"subset": object()},
    "a list without end": {"question": ENDLESS},
    "a number of 5000 digits": {"repeat": 10**5000},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_row_that_its_table_cannot_hold_is_kept_aside_and_the_others_land(
    home: Home, wrong: str
) -> None:
    spool = open_spool(home)
    for row in samples(3, **WRONG[wrong]):
        spool.append(row)  # never fails for a value
    spool.seal("completed")
    spool_night(home.spool, 0, SHAPE)
    report = land(home)
    assert report.damaged == []
    assert f"r1/t1: 1 rows of accuracy_samples were not sealed ({next(iter(WRONG[wrong]))} is" in (
        details(report)
    )
    assert count(home, "accuracy_samples WHERE run_id = 'r1'") == 2
    assert count(home, f"runs WHERE run_id = '{run_id_of(0)}'") == 1
    kept = HistoryPlaces.of(home).kept(FIRST_NIGHT, "r1", "t1") / manifest.REJECTED_NAME
    (told,) = map(json.loads, kept.read_text().splitlines())
    assert (told["table"], json.loads(told["row"])["sample_id"]) == ("accuracy_samples", "q1")


@pytest.mark.parametrize("absurd", [2**66, -(2**70), "many", True, [1], 1.5])
def test_a_count_that_none_is_becomes_null_where_it_may_be_and_is_said(
    home: Home, absurd: object
) -> None:
    spool = open_spool(home)
    for row in samples(3, completion_tokens=absurd):
        spool.append(row)
    spool.seal("completed")
    report = land(home)
    assert "1 numbers of accuracy_samples are null (completion_tokens is" in details(report)
    assert count(home, "accuracy_samples") == 3
    assert count(home, "accuracy_samples WHERE completion_tokens IS NULL") == 1


def test_what_is_not_a_number_is_null_and_what_is_endless_stays(home: Home) -> None:
    spool = open_spool(home)
    for row in samples(3, latency_ms=float("nan"), total_latency_ms=float("inf")):
        spool.append(row)
    spool.seal("completed")
    assert land(home).findings == []
    assert count(home, "accuracy_samples WHERE latency_ms IS NULL") == 1
    assert count(home, "accuracy_samples WHERE total_latency_ms = 'infinity'") == 1


LINES = {
    "no JSON": b"}{\n",
    "no object": b"[1, 2]\n",
    "a field nobody knows": b'{"name": "a", "value": "b", "surprise": 1}\n',
    "another encoding": '{"name": "ä", "value": "b"}\n'.encode("utf-16"),
    "a block of zeros, as after a power cut": bytes(4096) + b"\n",
    "nested without end": b"[" * 100_000 + b"\n",
    "changed in one letter": None,
}


@pytest.mark.parametrize("broken", LINES)
def test_a_broken_line_costs_itself(home: Home, broken: str) -> None:
    spool = open_spool(home)
    for name in ("a", "b"):
        spool.append(ProvenanceRow(name=name, value="x"))
    lines = spool.folder / "provenance.jsonl"
    whole = lines.read_bytes()
    middle = LINES[broken] or whole.splitlines(keepends=True)[0].replace(b'"a"', b'"c"')
    lines.write_bytes(whole + middle)
    spool.append(ProvenanceRow(name="d", value="x"))
    spool.seal("completed")
    report = land(home)
    assert "rows of provenance were not sealed" in details(report)
    with open_history(home) as history:
        assert history.sql("SELECT name FROM provenance ORDER BY name").rows == (
            ("a",), ("b",), ("d",),
        )  # fmt: skip


def test_rows_that_an_older_nightbench_spooled_are_taken_without_a_checksum(home: Home) -> None:
    spool = open_spool(home)
    row = json.dumps(tables.encode(ProvenanceRow(name="a", value="b")))
    (spool.folder / "provenance.jsonl").write_text(f"{row}\n")
    members = {"run_id": "r1", "target": "t1", "night": "2026-01-01", "hardware_class": "cpu"}
    (spool.folder / "identity.json").write_text(json.dumps(members))
    spool.abandon()
    recover(home.spool)
    assert land(home).findings == []
    assert count(home, "provenance WHERE hardware_class = 'cpu'") == 1


# ------------------------------------------------------------------------------------ parts


def part(path: Path, **columns: pa.Array) -> None:
    """Three requests as the generator writes them, but for these columns."""
    rows = [tables.encode(request_row(i, 1, 2, random.Random(i))) for i in range(3)]
    table = pa.Table.from_pylist(rows)
    for name, column in columns.items():
        index = table.schema.get_field_index(name)
        table = (
            table.append_column(name, column)
            if index < 0
            else table.set_column(index, name, column)
        )
    pq.write_table(table, path, write_page_checksum=True)


PARTS: dict[str, tuple[dict[str, pa.Array], int, str]] = {
    "a required value missing": (
        {"workload": pa.array(["openqa", None, "openqa"])}, 2, "workload is missing",
    ),
    "more than 64 bits": (
        {"prompt_tokens": pa.array([1, 2**64 - 1, 3], pa.uint64())}, 2, "prompt_tokens is no value",
    ),
    "a text for a number": (
        {"completion_tokens": pa.array(["1", "two", "3"])}, 2, "completion_tokens is no value",
    ),
    "a column nobody knows": ({"surprise": pa.array([1, 2, 3])}, 3, "could not be read whole"),
    "nothing that is one": (
        {"ttft_ms": pa.array([{"a": 1}, {"a": 2}, {"a": 3}])}, 0, "ttft_ms is no value",
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", PARTS)
def test_a_row_of_a_part_that_its_table_cannot_hold_costs_itself(home: Home, wrong: str) -> None:
    columns, sealed, said = PARTS[wrong]
    spool = open_spool(home)
    home.root.mkdir(exist_ok=True)
    part(home.root / "part.parquet", **columns)
    spool.add_parquet("load_requests", home.root / "part.parquet")
    spool.seal("completed")
    report = land(home)
    assert report.damaged == []
    assert said in details(report)
    assert count(home, "load_requests") == sealed


def test_a_part_whose_column_has_lost_its_name_is_not_sealed_with_nulls_for_it(home: Home) -> None:
    spool = open_spool(home)
    path = home.root / "part.parquet"
    part(path)
    table = pq.read_table(path)
    names = [{"cached_tokens": "cached_tokenr"}.get(name, name) for name in table.schema.names]
    pq.write_table(table.rename_columns(names), path, write_page_checksum=True)
    spool.add_parquet("load_requests", path)
    spool.seal("completed")
    report = land(home)
    assert "load_requests.part0001.parquet could not be read whole" in details(report)
    assert count(home, "load_requests") == 0


def test_a_changed_byte_in_a_part_is_noticed_before_it_is_sealed(home: Home) -> None:
    spool = open_spool(home)
    part(home.root / "part.parquet")
    content = bytearray((home.root / "part.parquet").read_bytes())
    content[200] ^= 1
    (home.root / "part.parquet").write_bytes(content)
    spool.add_parquet("load_requests", home.root / "part.parquet")
    folder = spool.seal("completed")
    assert manifest.read(folder)[0].unreadable == ("load_requests.part0001.parquet",)
    assert (folder / "load_requests.part0001.parquet").read_bytes() == bytes(content)
    assert count_of(folder, "targets") == 1


def count_of(folder: Path, table: str) -> int:
    return pq.read_table(folder / f"{table}.parquet").num_rows


def test_the_load_generators_own_file_has_a_checksum_of_every_page(tmp_path: Path) -> None:
    from nightbench.load.summarize.requests_file import RequestWriter, schema

    path = tmp_path / "requests.parquet"
    row = tables.encode(request_row(0, 1, 2, random.Random(0)))
    with RequestWriter(path) as writer:
        writer._writer.write_table(pa.Table.from_pylist([row], schema=schema()))
    content = bytearray(path.read_bytes())
    content[content.index(b"openqa")] ^= 1
    path.write_bytes(content)
    with pytest.raises(OSError, match="CRC"):
        pq.ParquetFile(path, page_checksum_verification=True).read()


# ---------------------------------------------------------------------------------- folders


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of a user whom permissions bind; as root, that of nobody."""
    folder = Path(tempfile.mkdtemp())
    root = os.geteuid() == 0
    if root:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir():
                path.chmod(0o700)
        shutil.rmtree(folder, ignore_errors=True)


UNREADABLE: dict[str, Callable[[Path], Path]] = {
    "run": lambda folder: folder.parent,
    "folder": lambda folder: folder,
    "manifest": lambda folder: folder / "manifest.json",
    "facts": lambda folder: folder / "load_levels.parquet",
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_sealed_folder_that_may_not_be_read_is_named_and_the_others_land(
    unprivileged: Path, what: str
) -> None:
    home = Home(unprivileged / "home")
    locked = UNREADABLE[what](spool_target(home.spool, 1, "starter", SHAPE))
    spool_night(home.spool, 0, SHAPE)
    locked.chmod(0)
    report = land(home)
    locked.chmod(0o700)
    assert len(report.landed) == 3
    assert any(str(locked) in damaged.reason for damaged in report.damaged)
    assert len(land(home).landed) == 1


@pytest.mark.parametrize("what", ["folder", "identity.json", "lock", "targets.jsonl"])
def test_an_open_folder_that_may_not_be_read_is_named_and_the_others_are_sealed(
    unprivileged: Path, what: str
) -> None:
    home = Home(unprivileged / "home")
    first, second = (
        open_spool(home),
        Spool.open(home.spool, dataclasses.replace(IDENTITY, target="t2"), now=lambda: began(0)),
    )
    second.append(target_row(0, "t2", status="completed", ended_at=began(0)))
    first.abandon()
    second.abandon()
    locked = first.folder if what == "folder" else first.folder / what
    locked.chmod(0)
    damaged: list[Damaged] = []
    sealed = recover(home.spool, on_damaged=damaged.append)
    assert home.spool / "r1/t2.sealed" in sealed
    if what == "targets.jsonl":  # one file: the folder is sealed without it
        assert manifest.read(home.spool / "r1/t1.sealed")[0].unreadable == ("targets.jsonl",)
    else:
        assert any(str(first.folder) in one.reason for one in damaged)
        if locked.exists():
            locked.chmod(0o700)
        assert recover(home.spool) == [home.spool / "r1/t1.sealed"]


def test_what_is_no_folder_of_the_spool_is_named(home: Home) -> None:
    spool_night(home.spool, 0, SHAPE)
    run = home.spool / run_id_of(0)
    (run / "file.sealed").write_text("")
    (run / "file.open").write_text("")
    (run / "folder.opne").mkdir()
    (home.spool / "note.txt").write_text("a person's")
    damaged: list[Damaged] = []
    recover(home.spool, on_damaged=damaged.append)
    report = land(home)
    assert len(report.landed) == 3
    expected = {run / "file.sealed", run / "file.open", run / "folder.opne"}
    assert {one.folder for one in damaged} == {one.folder for one in report.damaged} == expected


def test_a_folder_put_aside_is_taken_once_it_says_what_it_is_of(home: Home) -> None:
    spool = open_spool(home)
    identity = (spool.folder / "identity.json").read_bytes()
    spool.abandon()
    (spool.folder / "identity.json").write_text("")
    assert recover(home.spool) == []
    aside = home.spool / "r1/t1.broken"
    assert "has no readable identity" in land(home).damaged[0].reason
    (aside / "identity.json").write_bytes(identity)
    assert recover(home.spool) == [home.spool / "r1/t1.sealed"]
    assert land(home).landed == ["r1/t1"]


def test_the_doctor_names_what_is_not_in_the_history(home: Home) -> None:
    spool = open_spool(home)
    spool.append(ProvenanceRow(name="odd", value=7))  # type: ignore[arg-type]
    spool.seal("completed")
    spool_night(home.spool, 3650, Shape())
    land(home)
    (home.spool / "r2" / "x.open").mkdir(parents=True)
    recover(home.spool)
    spool_night(home.spool, 1, SHAPE)
    said = condition(home, began(5))
    assert said[0] == ("history", "2 nights, to 2035-12-30; 3 folders wait for ingest")
    assert any("x.broken has no readable identity" in text for _, text in said)
    assert any("rejected.jsonl: rows rejected by their tables" in text for _, text in said)
    assert ("dated ahead", "2035-12-30: a clock was or is wrong") in said


# ------------------------------------------------------------------------------------ kept


def test_nights_that_cannot_be_merged_keep_no_other_from_being_merged(home: Home) -> None:
    places = HistoryPlaces.of(home)
    for night in range(3):
        spool_night(home.spool, night, SHAPE)
    land(home, now=lambda: began(-5))  # none of them is over
    for night in range(2):
        kept = places.kept(FIRST_NIGHT + timedelta(days=night), run_id_of(night), "starter")
        (kept / "load_levels.parquet").write_bytes(b"")
    spool_night(home.spool, 3, SHAPE)
    report = land(home)
    assert report.merged == [FIRST_NIGHT + timedelta(days=2)]
    assert len([f for f in report.findings if f.check == "merging"]) == 2


def test_late_folders_join_a_night_that_was_merged_often(home: Home) -> None:
    spool_night(home.spool, 0, SHAPE)
    land(home, now=lambda: began(0))
    for number, target in enumerate(("late", "later", "latest", "last", "really-last"), 1):
        spool_night(home.spool, number, SHAPE)
        spool_target(home.spool, 0, target, SHAPE)
        report = land(home, now=lambda: began(3 * number))  # noqa: B023
        assert FIRST_NIGHT in report.merged, report.findings
    assert count(home, "targets WHERE night = '2026-01-01'") == 7
    assert count(home, "load_levels WHERE night = '2026-01-01'") == 21


def land_again(home: Home, night: int) -> LandingReport:
    """A landing with something to do, days later."""
    HistoryPlaces.of(home).published.unlink()
    return land(home, now=lambda: began(night))


def test_folders_that_the_views_still_read_are_not_removed_though_a_merged_one_is_there(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = HistoryPlaces.of(home)
    spool_night(home.spool, 0, SHAPE)
    land(home, now=lambda: began(0))
    spool_night(home.spool, 1, SHAPE)
    monkeypatch.setattr(housekeeping, "MERGES_PER_LANDING", 0)
    land(home, now=lambda: began(1))
    unmerged = places.landing.read_bytes()
    monkeypatch.undo()
    assert land_again(home, 1).merged == [FIRST_NIGHT]
    places.landing.write_bytes(unmerged)  # as if it had died before its transaction …
    monkeypatch.setattr(housekeeping, "MERGES_PER_LANDING", 0)  # … and merging had no turn since
    for night in (3, 6, 9):
        land_again(home, night)
    assert count(home, "load_requests") == 48
    assert places.kept(FIRST_NIGHT, run_id_of(0), "starter").exists()


def test_a_folder_that_is_not_what_was_merged_of_it_is_kept_and_named(home: Home) -> None:
    for night in range(2):
        spool_night(home.spool, night, SHAPE)
        land(home, now=lambda: began(night))  # noqa: B023
    kept = HistoryPlaces.of(home).kept(FIRST_NIGHT, run_id_of(0), "starter")
    content = (kept / "manifest.json").read_text()
    (kept / "manifest.json").write_text(content.replace("completed", "failed"))
    for night in (3, 6, 9):
        report = land_again(home, night)
    assert any(f"{kept} does not match what was compacted" in f.detail for f in report.findings)
    assert (kept / "load_levels.parquet").exists()
    assert not HistoryPlaces.of(home).kept(FIRST_NIGHT, run_id_of(0), "other").exists()


def test_what_a_merged_folder_replaced_stays_until_the_merged_one_is_whole(home: Home) -> None:
    for night in range(2):
        spool_night(home.spool, night, SHAPE)
        land(home, now=lambda: began(night))  # noqa: B023
    root = HistoryPlaces.of(home).night(FIRST_NIGHT)
    merged = root / "+merged-0001" / "load_levels.parquet"
    whole = merged.read_bytes()
    merged.write_bytes(whole[:-1] + b"!")
    for night in (3, 6):
        report = land_again(home, night)
        assert any("does not have the digest" in f.detail for f in report.findings)
    assert (root / run_id_of(0) / "starter" / "load_levels.parquet").exists()
    merged.write_bytes(whole)
    land_again(home, 9)
    assert not (root / run_id_of(0)).exists()


def test_what_sealing_rejected_stays_when_its_folder_is_merged_and_removed(home: Home) -> None:
    spool = open_spool(home)
    spool.append(ProvenanceRow(name="odd", value=7))  # type: ignore[arg-type]
    spool.append(sample_row(0, 0, correct=True))
    spool.seal("completed")
    spool_night(home.spool, 0, SHAPE)
    for night in range(1, 5):
        land(home, now=lambda: began(2 * night))  # noqa: B023
        spool_night(home.spool, night, SHAPE)
    root = HistoryPlaces.of(home).night(FIRST_NIGHT)
    left = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    assert [name for name in left if not name.startswith("+merged")] == ["r1/t1/rejected.jsonl"]


def test_a_folder_whose_place_is_taken_is_named_and_both_are_kept(home: Home) -> None:
    folder = spool_target(home.spool, 0, "starter", SHAPE)
    spool_target(home.spool, 1, "starter", SHAPE)
    kept = HistoryPlaces.of(home).kept(FIRST_NIGHT, run_id_of(0), "starter")
    shutil.copytree(spool_target(home.root / "other", 0, "starter", Shape(samples=1)), kept)
    report = land(home)  # there is no landing file: the one that lay there is made one of
    assert [damaged.folder for damaged in report.damaged] == [folder]
    assert "ingested before, with other content" in report.damaged[0].reason
    assert folder.exists()
    assert count(home, "accuracy_samples WHERE night = '2026-01-01'") == 1
    kept.rename(kept.with_name("elsewhere"))
    kept.write_text("a file")
    report = land(home)
    assert kept.read_text() == "a file"
    assert folder.exists()


def test_a_copy_is_let_go_only_when_what_is_kept_is_whole(home: Home, tmp_path: Path) -> None:
    folders = spool_night(home.spool, 0, SHAPE)
    shutil.copytree(folders[0], tmp_path / "copy")
    land(home)
    kept = HistoryPlaces.of(home).kept(FIRST_NIGHT, run_id_of(0), "starter")
    (kept / "load_levels.parquet").write_bytes(b"")
    folders[0].parent.mkdir()
    shutil.copytree(tmp_path / "copy", folders[0])
    report = land(home)
    assert "load_levels.parquet has 0 bytes" in report.damaged[0].reason
    assert folders[0].exists()


def test_a_copy_with_more_in_it_than_its_manifest_names_is_not_removed(
    home: Home, tmp_path: Path
) -> None:
    folders = spool_night(home.spool, 0, SHAPE)
    shutil.copytree(folders[0], tmp_path / "copy")
    land(home)
    folders[0].parent.mkdir()
    shutil.copytree(tmp_path / "copy", folders[0])
    (folders[0] / "thesis.txt").write_text("the only copy")
    assert "thesis.txt" in land(home).damaged[0].reason
    assert (folders[0] / "thesis.txt").exists()


def test_a_kept_folder_that_the_ledger_has_lost_is_taken_again(home: Home) -> None:
    spool_night(home.spool, 0, SHAPE)
    land(home)
    older = HistoryPlaces.of(home).landing.read_bytes()
    spool_night(home.spool, 1, SHAPE)
    land(home)
    HistoryPlaces.of(home).landing.write_bytes(older)  # from a backup, or without its log
    report = land(home)
    assert sorted(report.landed) == sorted(f"{run_id_of(1)}/{t}" for t in ("_run", *SHAPE.targets))
    assert count(home, "targets") == 4
    assert count(home, "load_requests") == 48

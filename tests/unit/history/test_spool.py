"""The spool: rows are on disk when they are made, whoever dies afterwards."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nightbench.errors import HistoryError
from nightbench.history import tables
from nightbench.history.ingest import land
from nightbench.history.spool import manifest
from nightbench.history.spool.writer import Spool, SpoolIdentity, recover, sealed_folders
from nightbench.home.paths import Home
from nightbench.records import LoadRequest, ProvenanceRow
from nightbench.secrets.redaction import Redactor
from tests.benchmarks.synthetic_nights import (
    Shape,
    request_row,
    rows_of,
    server_row,
    spool_night,
    target_row,
)

IDENTITY = SpoolIdentity(run_id="r1", target="t1", night=date(2026, 11, 21))


def read(folder: Path, table: str) -> list[dict[str, object]]:
    return pq.read_table(folder / f"{table}.parquet").to_pylist()


def test_a_row_is_on_disk_when_append_returns(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, IDENTITY)
    spool.append(ProvenanceRow(name="driver_version", value="550"))
    line = (tmp_path / "r1/t1.open/provenance.jsonl").read_text()
    members = json.loads(line)
    assert (members["name"], members["value"]) == ("driver_version", "550")
    spool.abandon()


def test_every_row_comes_back_from_a_sealed_folder_with_its_identity(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, IDENTITY)
    rows = list(rows_of(0, "t1", Shape()))
    for row in rows:
        spool.append(row)  # type: ignore[arg-type]
    spool.set_hardware_class("H100 x 4")
    folder = spool.seal("completed")
    assert folder == tmp_path / "r1/t1.sealed"
    sealed, _ = manifest.read(folder)
    manifest.verify(folder, sealed)
    requests = [row for row in rows if isinstance(row, LoadRequest)]
    counts = {entry.table: entry.row_count for entry in sealed.files}
    assert counts["load_requests"] == counts["load_chunks"] == len(requests)
    assert {r["hardware_class"] for r in read(folder, "load_levels")} == {"H100 x 4"}
    assert {r["run_id"] for r in read(folder, "load_levels")} == {"r1"}
    chunks = read(folder, "load_chunks")
    assert [c["chunk_deltas_us"] for c in chunks] == [r.chunk_deltas_us for r in requests]
    assert [r["ttft_ms"] for r in read(folder, "load_requests")] == [r.ttft_ms for r in requests]


def test_the_last_row_of_a_target_counts(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, IDENTITY)
    spool.append(target_row(0, "t1", status="running", ended_at=None))
    spool.append(target_row(0, "t1", status="completed", ended_at=datetime(2026, 1, 1, tzinfo=UTC)))
    rows = read(spool.seal("completed"), "targets")
    assert [row["status"] for row in rows] == ["completed"]


def test_each_launch_of_a_server_keeps_its_own_row(tmp_path: Path) -> None:
    import dataclasses

    spool = Spool.open(tmp_path, IDENTITY)
    first = server_row(0)
    spool.append(dataclasses.replace(first, exit_reason=None))
    spool.append(first)
    spool.append(dataclasses.replace(first, launch=2))
    rows = read(spool.seal("completed"), "servers")
    assert [(row["launch"], row["exit_reason"]) for row in rows] == [(1, "stopped"), (2, "stopped")]


def test_parquet_parts_join_the_rows_of_their_table(tmp_path: Path) -> None:
    import random

    rows = [request_row(i, 4, 3, random.Random(i)) for i in range(3)]
    part = tmp_path / "part.parquet"
    members = [tables.encode(row) for row in rows[1:]]
    pq.write_table(pa.Table.from_pylist(members), part)
    spool = Spool.open(tmp_path / "spool", IDENTITY)
    spool.append(rows[0])
    spool.add_parquet("load_requests", part)
    assert not part.exists()
    folder = spool.seal("completed")
    assert [r["request_index"] for r in read(folder, "load_requests")] == [0, 1, 2]
    assert [c["chunk_deltas_us"] for c in read(folder, "load_chunks")] == [
        r.chunk_deltas_us for r in rows
    ]
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".parquet", ".parquet"]


def test_a_parquet_part_with_zoned_times_is_taken_as_utc(tmp_path: Path) -> None:
    part = tmp_path / "telemetry.parquet"
    moment = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    zoned = pa.array([moment], pa.timestamp("ns", "Asia/Shanghai"))
    pq.write_table(
        pa.table({"read_at": zoned, "source": ["gpu0"], "name": ["power_w"], "value": [1.0]}), part
    )
    spool = Spool.open(tmp_path / "spool", IDENTITY)
    spool.add_parquet("telemetry", part)
    assert read(spool.seal("completed"), "telemetry")[0]["read_at"] == moment.replace(tzinfo=None)


def test_a_run_spools_a_target_once(tmp_path: Path) -> None:
    Spool.open(tmp_path, IDENTITY).seal("completed")
    with pytest.raises(HistoryError, match="already exists"):
        Spool.open(tmp_path, IDENTITY)


def test_a_name_that_leaves_the_spool_is_refused(tmp_path: Path) -> None:
    identity = SpoolIdentity(run_id="../../etc", target="t", night=date(2026, 1, 1))
    with pytest.raises(HistoryError, match="is not a valid name of a spool folder"):
        Spool.open(tmp_path, identity)


def test_a_living_writer_is_left_alone_by_recovery(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, IDENTITY)
    assert recover(tmp_path) == []
    spool.append(ProvenanceRow(name="a", value="b"))
    spool.seal("completed")
    assert recover(tmp_path) == []


def test_what_a_dead_writer_left_is_sealed_as_crashed(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, IDENTITY)
    spool.append(target_row(0, "t1", status="running", ended_at=None))
    spool.abandon()
    assert recover(tmp_path) == [tmp_path / "r1/t1.sealed"]
    sealed, _ = manifest.read(tmp_path / "r1/t1.sealed")
    assert sealed.status == "crashed"
    row = read(tmp_path / "r1/t1.sealed", "targets")[0]
    assert (row["status"], row["error"]) == ("crashed", "the process that measured this died")


def test_a_row_cut_in_two_by_a_crash_is_counted_and_the_others_are_kept(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, IDENTITY)
    spool.append(ProvenanceRow(name="a", value="b"))
    spool.abandon()
    with (tmp_path / "r1/t1.open/provenance.jsonl").open("a") as file:
        file.write('{"name": "half')
    sealed, _ = manifest.read(recover(tmp_path)[0])
    assert (sealed.row_count, sealed.torn_lines) == (1, 1)


def test_a_part_file_cut_by_a_crash_is_named_and_kept(tmp_path: Path) -> None:
    part = tmp_path / "x.parquet"
    part.write_bytes(b"PAR1 and then the power went")
    spool = Spool.open(tmp_path / "s", IDENTITY)
    spool.append(ProvenanceRow(name="a", value="b"))
    spool.add_parquet("load_requests", part)
    spool.abandon()
    folder = recover(tmp_path / "s")[0]
    sealed, _ = manifest.read(folder)
    assert sealed.unreadable == ("load_requests.part0001.parquet",)
    assert (folder / "load_requests.part0001.parquet").exists()
    assert sealed.row_count == 1


def test_a_writer_that_died_between_manifest_and_rename_keeps_its_status(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, IDENTITY)
    spool.append(ProvenanceRow(name="a", value="b"))
    sealed = spool.seal("completed")
    sealed.rename(tmp_path / "r1/t1.open")
    assert manifest.read(recover(tmp_path)[0])[0].status == "completed"


def test_a_folder_that_says_of_nothing_is_put_aside_and_reported(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path / "spool", IDENTITY)
    spool.abandon()
    (spool.folder / "identity.json").write_text("")
    assert recover(tmp_path / "spool") == []
    (damaged,) = land(Home(tmp_path)).damaged
    assert damaged.folder == tmp_path / "spool/r1/t1.broken"
    assert "has no readable identity" in damaged.reason


def test_a_sigkilled_writer_loses_at_most_the_row_in_flight(tmp_path: Path) -> None:
    script = (
        "import sys; from datetime import date; from pathlib import Path\n"
        "from nightbench.history.spool.writer import Spool, SpoolIdentity\n"
        "from nightbench.records import ProvenanceRow\n"
        "identity = SpoolIdentity(run_id='r1', target='t1', night=date(2026, 11, 21))\n"
        "spool = Spool.open(Path(sys.argv[1]), identity); n = 0\n"
        "while True:\n"
        "    spool.append(ProvenanceRow(name=f'n{n}', value='x')); n += 1\n"
        "    print(n, flush=True)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    for _ in range(200):
        said = int(writer.stdout.readline())
    assert recover(tmp_path) == []
    os.kill(writer.pid, signal.SIGKILL)
    said = int((writer.stdout.read().split() or [said])[-1])
    writer.wait()
    writer.stdout.close()
    sealed, _ = manifest.read(recover(tmp_path)[0])
    assert said <= sealed.row_count <= said + 1


def test_a_full_disk_takes_no_half_row(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, IDENTITY)
    spool.append(ProvenanceRow(name="a", value="b"))
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(HistoryError, match="rejected a row"):
            spool.append(ProvenanceRow(name="big", value="x" * 500))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)
    spool.append(ProvenanceRow(name="c", value="d"))
    names = [row["name"] for row in read(spool.seal("completed"), "provenance")]
    assert names == ["a", "c"]


def test_what_the_block_raised_names_the_status(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="boom"), Spool.open(tmp_path, IDENTITY):
        raise ValueError("boom")
    assert manifest.read(tmp_path / "r1/t1.sealed")[0].status == "failed"
    other = SpoolIdentity(run_id="r1", target="t2", night=date(2026, 11, 21))
    with pytest.raises(KeyboardInterrupt), Spool.open(tmp_path, other):
        raise KeyboardInterrupt
    assert manifest.read(tmp_path / "r1/t2.sealed")[0].status == "cancelled"


def test_the_spool_is_its_owners_alone(tmp_path: Path) -> None:
    for folder in spool_night(tmp_path / "spool", 0):
        assert folder.stat().st_mode & 0o077 == 0
        assert all(file.stat().st_mode & 0o077 == 0 for file in folder.glob("*.parquet"))


def test_a_run_s_own_folder_is_among_the_sealed(tmp_path: Path) -> None:
    spool_night(tmp_path, 0)
    assert [folder.name for folder in sealed_folders(tmp_path)] == ["_run.sealed", "starter.sealed"]


@pytest.mark.parametrize("table", [t.name for t in tables.TABLES if t.name != "load_chunks"])
def test_a_row_survives_json(table: str) -> None:
    kind = tables.BY_NAME[table].row_type
    rows = [row for row in rows_of(0, "t1", Shape()) if isinstance(row, kind)]
    for row in rows:
        back = tables.decode(tables.BY_NAME[table], json.loads(json.dumps(tables.encode(row))))
        for name in tables.spooled_fields(tables.BY_NAME[table]):
            value = getattr(row, name)
            expected = tables.naive_utc(value) if isinstance(value, datetime) else value
            assert back[name] == expected


KEY = "sk-Canary9fQ2xZ7mLp4vT8"


def test_no_text_of_a_row_reaches_the_disk_with_a_secret(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, IDENTITY, redact=Redactor([KEY]))
    row = target_row(0, "t1", status="failed", ended_at=None)
    spool.append(replace(row, error=f"no {KEY}", served_model_name=f"m-{KEY}"))
    spool.append(replace(server_row(0), argv=["serve", f"--key={KEY}"], env=json.dumps({"K": KEY})))
    spool.append(ProvenanceRow(name="late", value="made-later-4f5g6h"))
    spool.keep_out("made-later-4f5g6h")
    spool.append(ProvenanceRow(name="later", value="made-later-4f5g6h"))
    folder = spool.seal("failed")
    assert read(folder, "targets")[0]["error"] == "no ***"
    assert read(folder, "servers")[0]["argv"] == ["serve", "--key=***"]
    assert {r["name"]: r["value"] for r in read(folder, "provenance")} == {
        "late": "made-later-4f5g6h",
        "later": "***",
    }


def test_a_spool_knows_the_secrets_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", KEY)
    spool = Spool.open(tmp_path, IDENTITY)
    spool.append(ProvenanceRow(name="x", value=f"a {KEY[:14]}… z"))
    assert read(spool.seal("completed"), "provenance")[0]["value"] == "a ***… z"

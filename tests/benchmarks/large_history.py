"""A history of three years, made in minutes, and how fast it answers and lands.

    python -m tests.benchmarks.large_history make HOME --nights 1095
    python -m tests.benchmarks.large_history measure HOME

A night is 20 targets x 12 levels x 200 requests of 20 tokens; 1095 nights are 52.6 million
requests. Chunk times are there for the last 30 nights. `make` writes nights as merging leaves them
and lets the real code rebuild the history from them; `measure` spools one more night, lands it, and
asks.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nightbench.history import tables
from nightbench.history.duckdb_files import compacted_night as merged_nights
from nightbench.history.duckdb_files.rebuilding import rebuild
from nightbench.history.ingest import land
from nightbench.history.places import HistoryPlaces
from nightbench.history.reading import open_history
from nightbench.history.spool import manifest as manifests
from nightbench.history.spool.manifest import FileEntry, Manifest, SpoolIdentity
from nightbench.history.spool.writer import RUN_FOLDER, Spool
from nightbench.history.sql_files import schema_version
from nightbench.home.paths import Home
from tests.benchmarks import synthetic_nights as synthetic

TARGETS = tuple(f"target{number:02d}" for number in range(20))
LEVELS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128)
REQUESTS, TOKENS = 200, 20
CHUNK_NIGHTS = 30
SHAPE = synthetic.Shape(targets=TARGETS, levels=LEVELS, requests=0, samples=20, telemetry=60)


def make(home: Home, nights: int) -> None:
    """Write the nights and rebuild the history from them."""
    places = HistoryPlaces.of(home)
    places.make()
    for night in range(nights):
        _make_night(places, night, chunks=night >= nights - CHUNK_NIGHTS)
        if night % 50 == 49:
            print(f"{night + 1} of {nights} nights", flush=True)
    began = time.perf_counter()
    report = rebuild(home, deadline_s=1)
    print(f"rebuilt {report.folders} folders in {time.perf_counter() - began:.1f} s")


def _make_night(places: HistoryPlaces, night: int, *, chunks: bool) -> None:
    folder = places.night(_date(night)) / "+merged-0001"
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for table, rows in _small_tables(night).items():
        entries.append(_write(folder, table, rows))
    requests, chunk_rows = _requests(night)
    entries.append(_write(folder, "load_requests", requests))
    if chunks:
        entries.append(_write(folder, "load_chunks", chunk_rows))
    merged = merged_nights.MergedNight(
        schema_version=schema_version(),
        folders=tuple(_landed(night, target) for target in (*TARGETS, RUN_FOLDER)),
        files=tuple(entries),
        replaces=(),
    )
    merged_nights.write_merged(folder, merged)


def _small_tables(night: int) -> dict[str, pa.Table]:
    """Everything but the requests, made by the same rows as in the tests."""
    members: dict[str, list[dict[str, object]]] = {}
    for target in TARGETS:
        identity = _identity(night, target)
        for row in synthetic.rows_of(night, target, SHAPE):
            table = tables.table_of(row)  # type: ignore[arg-type]
            if table.name == "targets" and getattr(row, "status", "") == "running":
                continue
            encoded = tables.encode(row)  # type: ignore[arg-type]
            members.setdefault(table.name, []).append(identity | tables.decode(table, encoded))
    own = synthetic.run_row(night, SHAPE, status="completed", ended_at=synthetic.began(night))
    decoded = tables.decode(tables.BY_NAME["runs"], tables.encode(own))
    members["runs"] = [_identity(night, RUN_FOLDER) | decoded]
    return {
        name: pa.Table.from_pylist(rows, schema=tables.sealed_schema(tables.BY_NAME[name]))
        for name, rows in members.items()
    }


def _requests(night: int) -> tuple[pa.Table, pa.Table]:
    """The night's 48,000 requests and their chunk times."""
    rng = np.random.default_rng(night)
    parts = [_columns_of_target(rng, night, target) for target in TARGETS]
    requests = pa.concat_tables([part[0] for part in parts])
    return requests, pa.concat_tables([part[1] for part in parts])


def _columns_of_target(
    rng: np.random.Generator, night: int, target: str
) -> tuple[pa.Table, pa.Table]:
    measured, chunks = measured_requests(rng)
    identity = _identity(night, target)
    tabled = []
    for name, rows in (("load_requests", measured), ("load_chunks", chunks)):
        schema = tables.sealed_schema(tables.BY_NAME[name])
        for position, column in enumerate(tables.BY_NAME[name].identity):
            repeated = pa.repeat(pa.scalar(identity[column], schema.field(column).type), len(rows))
            rows = rows.add_column(position, column, repeated)  # noqa: PLW2901
        tabled.append(tables.fit(rows, schema))
    return tabled[0], tabled[1]


def measured_requests(rng: np.random.Generator) -> tuple[pa.Table, pa.Table]:
    """One target's requests of a night, and their chunks, without identity."""
    count = len(LEVELS) * REQUESTS
    index = np.tile(np.arange(REQUESTS), len(LEVELS))
    ttft_us = rng.gamma(9, 6_000, count).astype(np.int64)
    gaps_us = rng.gamma(100, 200, (count, TOKENS - 1)).astype(np.int32)
    deltas = np.concatenate([ttft_us[:, None].astype(np.int32), gaps_us], axis=1)
    sent_us = index * 50_000 + rng.integers(0, 1000, count)
    e2el_us = ttft_us + gaps_us.sum(axis=1)
    levels = pa.array(np.repeat([f"c{level}" for level in LEVELS], REQUESTS))
    keys = {"workload": pa.repeat("openqa", count), "level": levels, "request_index": index}
    offsets = np.arange(0, (count + 1) * TOKENS, TOKENS, dtype=np.int32)
    ones = np.ones(count * TOKENS, dtype=np.int32)
    hashes = [f"{1_000_003 * number:016x}" for number in range(count)]
    measured = keys | {
        "prompt_hash": hashes, "scheduled_us": index * 50_000, "sent_us": sent_us,
        "first_chunk_us": sent_us + ttft_us, "first_answer_us": sent_us + ttft_us,
        "last_chunk_us": sent_us + e2el_us, "connect_ms": rng.random(count),
        "ttft_ms": ttft_us / 1000, "ttfat_ms": ttft_us / 1000,
        "tpot_ms": gaps_us.mean(axis=1) / 1000, "e2el_ms": e2el_us / 1000,
        "queue_ms": rng.random(count), "client_lag_max_ms": rng.random(count),
        "coalesced_reads": np.zeros(count, dtype=np.int64),
        "prompt_tokens": rng.integers(20, 60, count), "cached_tokens": np.zeros(count, np.int64),
        "completion_tokens": np.full(count, TOKENS), "token_source": pa.repeat("usage", count),
        "finish_reason": pa.repeat("stop", count), "http_status": np.full(count, 200),
    }  # fmt: skip
    chunks = keys | {
        "chunk_deltas_us": pa.ListArray.from_arrays(offsets, deltas.ravel()),
        "chunk_tokens": pa.ListArray.from_arrays(offsets, ones),
    }
    return pa.table(measured), pa.table(chunks)


def spool_night(home: Home, night: int) -> None:
    """One more night through the real spool, its requests as Parquet parts."""
    rng = np.random.default_rng(night)
    aside = home.root / "part.parquet"
    home.root.mkdir(parents=True, exist_ok=True)
    for target in TARGETS:
        with Spool.open(home.spool, SpoolIdentity(**_identity(night, target))) as spool:  # type: ignore[arg-type]
            for row in synthetic.rows_of(night, target, SHAPE):
                spool.append(row)  # type: ignore[arg-type]
            measured, chunks = measured_requests(rng)
            for name in tables.CHUNK_COLUMNS:
                measured = measured.append_column(name, chunks[name])
            pq.write_table(measured, aside)
            spool.add_parquet("load_requests", aside)
    own = SpoolIdentity(**_identity(night, RUN_FOLDER))  # type: ignore[arg-type]
    with Spool.open(home.spool, own) as spool:
        spool.append(
            synthetic.run_row(night, SHAPE, status="completed", ended_at=synthetic.began(night))
        )


def measure(home: Home) -> dict[str, object]:
    """Land one more night, then ask: seconds, and bytes on disk."""
    with open_history(home) as history:
        before = history.sql("SELECT count(DISTINCT night), max(night) FROM landings").rows[0]
    newest = before[1]
    night = (newest - synthetic.FIRST_NIGHT).days + 1  # type: ignore[operator]
    began = time.perf_counter()
    spool_night(home, night)
    sealed = time.perf_counter()
    report = land(home)
    landed = time.perf_counter()
    return {
        "nights": before[0],
        "spool_and_seal_s": round(sealed - began, 3),
        "land_and_publish_s": round(landed - sealed, 3),
        "merged": [str(merged) for merged in report.merged],
        "damaged": [damaged.reason for damaged in report.damaged],
        "findings": len(report.findings),
        "queries_ms": dict(_timed_queries(home, night)),
        "bytes": _sizes(home),
    }


def _timed_queries(home: Home, night: int) -> Iterator[tuple[str, float]]:
    asked: dict[str, dict[str, object]] = {
        "latest_night": {},
        "trend": {"target": TARGETS[3], "metric": "p95_ttft_ms"},
        "compare": {"a": synthetic.run_id_of(night - 1), "b": synthetic.run_id_of(night)},
        "leaderboard": {},
        "runs": {},
        "capacity": {"target": TARGETS[3]},
        "boot_times": {"target": TARGETS[3]},
        "flips": {"target": TARGETS[3]},
        "slowest_requests": {
            "run_id": synthetic.run_id_of(night), "target": TARGETS[3], "level": "c8",
        },
    }  # fmt: skip
    with open_history(home) as history:
        for name, params in asked.items():
            history.rows(name, **params)
            times = []
            for _ in range(5):
                began = time.perf_counter()
                rows = len(history.rows(name, **params).rows)
                times.append(time.perf_counter() - began)
            yield f"{name} ({rows} rows)", round(1000 * sorted(times)[2], 1)
        texts = {
            "SELECT * FROM nightly_trend WHERE target = …": (
                "SELECT * FROM nightly_trend WHERE target = 'target03'"
            ),
            "SELECT count(*) FROM load_requests": "SELECT count(*) FROM load_requests",
            "p95 ttft of all requests": "SELECT quantile_cont(ttft_ms, 0.95) FROM load_requests",
        }
        for name, text in texts.items():
            began = time.perf_counter()
            history.sql(text)
            yield name, round(1000 * (time.perf_counter() - began), 1)


def _sizes(home: Home) -> dict[str, int]:
    places = HistoryPlaces.of(home)
    sizes = {"history.duckdb": places.published.stat().st_size}
    for path in places.nights.rglob("*.parquet"):
        sizes[path.stem] = sizes.get(path.stem, 0) + path.stat().st_size
    return sizes


def _write(folder: Path, table: str, rows: pa.Table) -> FileEntry:
    path = folder / f"{table}.parquet"
    pq.write_table(rows, path, compression="zstd")
    return FileEntry(
        table=table,
        path=path.name,
        row_count=rows.num_rows,
        size_bytes=path.stat().st_size,
        sha256=manifests.sha256_of(path),
    )


def _landed(night: int, target: str) -> merged_nights.LandedFolder:
    manifest = Manifest(
        schema_version=schema_version(),
        identity=SpoolIdentity(**_identity(night, target)),  # type: ignore[arg-type]
        status="completed",
        sealed_at=tables.naive_utc(synthetic.began(night)),
        files=(),
    )
    moment = datetime.now(UTC).replace(tzinfo=None)
    return merged_nights.LandedFolder(manifest, f"{night}-{target}", moment)


def _identity(night: int, target: str) -> dict[str, object]:
    return {
        "run_id": synthetic.run_id_of(night),
        "target": target,
        "night": _date(night),
        "hardware_class": "H100 x 4 x 700 W",
    }


def _date(night: int) -> object:
    return synthetic.FIRST_NIGHT + timedelta(days=night)


def main() -> int:
    """The command line of this benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("make", "measure"))
    parser.add_argument("home", type=Path)
    parser.add_argument("--nights", type=int, default=1095)
    args = parser.parse_args()
    home = Home(args.home.absolute())
    if args.what == "make":
        make(home, args.nights)
    else:
        print(json.dumps(measure(home), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())

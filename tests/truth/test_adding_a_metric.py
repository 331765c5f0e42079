"""A load metric added as docs/metrics.md says, in three files and a migration, is everywhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nightbench.history import sql_files
from tests.truth.reference import ReferenceServer

ROOT = Path(__file__).parents[2]
STATISTICS = ("mean", "median", "p90", "p95", "p99")
# Each edit of the recipe: the file, what is there, and what is put before it.
EDITS = {
    "src/nightbench/metrics.py": (
        '    Metric(\n        name="e2el_ms",',
        '    Metric(\n        name="stall_ms",\n        unit="ms",\n        family="latency",\n'
        '        better="lower",\n        meaning="longest gap between chunks",\n'
        '        of_request="the longest gap between two chunks of its output",\n'
        '        statistics=SPREAD,\n        label="stall",\n        shown=_MAIN,\n    ),\n',
    ),
    "src/nightbench/records.py": (
        "\n\n@dataclass(frozen=True, slots=True, kw_only=True)\nclass LoadInterval:",
        "".join(f"    {statistic}_stall_ms: float | None = None\n" for statistic in STATISTICS),
    ),
    "src/nightbench/load/summarize/request_rows.py": (
        '                "coalesced_reads": ',
        '                "stall_ms": np.array([\n'
        "                    _deltas_us(raws, arrivals, chunks)[begin + 1 : end].max() / 1000\n"
        "                    for begin, end in zip(chunks.begins, chunks.ends, strict=True)\n"
        "                ]),\n",
    ),
}
REQUEST_FIELD = (
    "\n\n@dataclass(frozen=True, slots=True, kw_only=True)\nclass TelemetryRow:",
    "    stall_ms: float | None = None\n",
)
CHECKED = """
import dataclasses, sys
from pathlib import Path
import nightbench
from nightbench.dashboards.curves import experiments_over_nights, level_points
from nightbench.dashboards.level_chart import level_chart
from nightbench.dashboards.run_page import run_page
from nightbench.dashboards.sentences import level_sentence
from nightbench.history.ingest import land
from nightbench.history.reading import open_history
from nightbench.history.run_results import read_run
from nightbench.history.spool.writer import Spool, SpoolIdentity
from nightbench.home.paths import Home
from nightbench.metrics import better
from nightbench.records import LoadLevel
from tests.benchmarks import synthetic_nights as made_up

assert nightbench.__file__.startswith(sys.argv[1])
home, shape, run_id = Home(Path(sys.argv[2])), made_up.Shape(), made_up.run_id_of(0)
identity = SpoolIdentity(run_id=run_id, target="starter", night=made_up.FIRST_NIGHT)
with Spool.open(home.spool, identity) as spool:
    for row in made_up.rows_of(0, "starter", shape):
        if isinstance(row, LoadLevel):
            row = dataclasses.replace(row, mean_stall_ms=4.0, median_stall_ms=5.0, p95_stall_ms=6.0)
        spool.append(row)
    spool.append(made_up.target_row(0, "starter", status="completed", ended_at=None))
land(home)
with open_history(home) as history:
    for view in ("latest", "nightly_trend"):
        assert (6.0,) in history.sql(f"SELECT p95_stall_ms FROM {view}").rows, view
    assert set(history.query("trend", target="starter", metric="p95_stall_ms")["value"]) == {6.0}
    both = {"a": run_id, "b": run_id}
    assert "p95_stall_ms" in set(history.query("compare", **both)["metric"])
    results = read_run(history, run_id)
    (over_nights,) = experiments_over_nights(history, ["starter"])
level = results.targets[0].levels[0]
assert level.p95_stall_ms == 6.0
assert "| stall ms | p95 |" in run_page(results, [])
assert "stall 4.0 ms (p95 6.0)" in level_sentence(level)
assert "mean stall, ms" in level_chart([level])
assert "load/openqa/p95_stall_ms" in {p.metric for p in level_points(dataclasses.asdict(level))}
assert "nights/p95_stall_ms/openqa/c1" in {point.metric for point in over_nights.points}
assert better("p99_stall_ms") == "lower"
"""

pytestmark = pytest.mark.truth


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of ours, with a metric more: by hand in four files, the others are made."""
    copy = tmp_path_factory.mktemp("checkout")
    for part in ("src/nightbench", "sql", "docs", "deployments", "infra"):
        shutil.copytree(ROOT / part, copy / part)
    for name, (before, inserted) in EDITS.items():
        _insert(copy / name, before, inserted)
    _insert(copy / "src/nightbench/records.py", *REQUEST_FIELD)
    columns = [("load_levels", f"{statistic}_stall_ms") for statistic in STATISTICS]
    columns.append(("shape.load_requests", "stall_ms"))
    version = sql_files.schema_version() + 1
    (copy / "sql" / "migrations" / f"{version:04d}_stalls.sql").write_text(
        "".join(f"ALTER TABLE {table} ADD COLUMN {name} DOUBLE;\n" for table, name in columns)
    )
    for module in ("nightbench.metric_texts", "nightbench.history.duckdb_files.schema_dump"):
        _python(copy, "-m", module)
    return copy


def _insert(path: Path, before: str, inserted: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{path.name}: {before!r}"
    path.write_text(text.replace(before, inserted + before), encoding="utf-8")


def _python(checkout: Path, *argv: str) -> str:
    path = os.pathsep.join((str(checkout / "src"), str(ROOT)))
    done = subprocess.run(
        [sys.executable, *argv],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_at_most_four_files_of_code_are_touched() -> None:
    assert len(EDITS) <= 4


def test_a_load_measures_it_shows_it_and_estimates_its_intervals(
    checkout: Path, tmp_path: Path
) -> None:
    with ReferenceServer(ttft_ms=20, itl_ms=5) as server:
        asked = ("load", "--model", "truth", "--base-url", server.endpoint.base_url)
        much = ("--max-tokens", "8", "--max-concurrency", "2", "--num-prompts", "30")
        written = ("--json", str(tmp_path / "o.json"))
        shown = _python(checkout, "-m", "nightbench.cli.main", *asked, *much, *written)
    assert "stall" in shown
    (level,) = json.loads((tmp_path / "o.json").read_text())["levels"]
    assert 4 < level["median_stall_ms"] <= level["p95_stall_ms"]
    low, high = level["intervals"]["stall_ms"]["median"]
    assert low <= level["median_stall_ms"] <= high


def test_history_views_pages_and_curves_have_it(checkout: Path, tmp_path: Path) -> None:
    _python(checkout, "-c", CHECKED, str(checkout), str(tmp_path))


def test_it_is_explained_wherever_metrics_are(checkout: Path) -> None:
    assert "`stall_ms` | ms | longest gap between chunks: " in (
        checkout / "docs" / "metrics.md"
    ).read_text(encoding="utf-8")
    explained = (checkout / "sql" / "README.md").read_text(encoding="utf-8")
    line = "| `p95_stall_ms` | ms | 95th percentile: longest gap between chunks |"
    assert explained.count(line) == 3  # load_levels, latest, nightly_trend
    check = checkout / "sql" / "checks" / "percentiles_in_order.sql"
    assert "p90_stall_ms > p95_stall_ms" in check.read_text(encoding="utf-8")
    assert "p95_stall_ms DOUBLE" in (checkout / "sql" / "schema.sql").read_text(encoding="utf-8")

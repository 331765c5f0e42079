"""The history is a DuckDB file like any other: DuckDB's own command line reads it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from nightbench.history.ingest import land
from nightbench.history.places import HistoryPlaces
from nightbench.history.sql_files import views
from nightbench.home.paths import Home
from tests.benchmarks.synthetic_nights import Shape, spool_night

DUCKDB = Path(sys.executable).with_name("duckdb")


def asked(published: Path, sql: str, cwd: Path) -> list[dict[str, int]]:
    answer = subprocess.run(
        [DUCKDB, "-readonly", "-json", published, sql],
        cwd=cwd, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)  # type: ignore[no-any-return]


def test_duckdbs_own_command_line_reads_every_view_in_the_history_s_folder(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    spool_night(home.spool, 0, Shape())
    land(home)
    published = HistoryPlaces.of(home).published
    names = [view.name for view in views()] + ["load_requests", "accuracy_samples"]
    for name in names:
        [row] = asked(published, f"SELECT count(*) AS n FROM {name}", cwd=home.history)
        assert row["n"] > 0 or name in ("flips", "open_events")


def test_and_from_any_other_folder_once_it_is_told_where_the_history_lies(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    spool_night(home.spool, 0, Shape())
    land(home)
    told = f"SET VARIABLE nightbench_history = '{home.history}/'"
    sql = f"{told}; SELECT count(*) AS n FROM load_requests"
    assert asked(HistoryPlaces.of(home).published, sql, cwd=Path("/"))[0]["n"] > 0

"""The history is a DuckDB file like any other: DuckDB's own command line reads it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from nightbench.history.duckdb_files.ingest import land
from nightbench.history.places import HistoryPlaces
from nightbench.history.sql_files import views
from nightbench.home.paths import Home
from tests.benchmarks.synthetic_nights import Shape, spool_night

DUCKDB = Path(sys.executable).with_name("duckdb")


def test_duckdbs_own_command_line_reads_every_view_from_any_folder(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    spool_night(home.spool, 0, Shape())
    land(home)
    names = [view.name for view in views()] + ["load_requests", "accuracy_samples"]
    for name in names:
        answer = subprocess.run(
            [
                *(DUCKDB, "-readonly", "-json", HistoryPlaces.of(home).published),
                f"SELECT count(*) AS n FROM {name}",
            ],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, answer.stderr
        assert json.loads(answer.stdout)[0]["n"] > 0 or name == "flips"

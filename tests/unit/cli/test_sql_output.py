"""What `nightbench sql` prints, for people and for programs, and what it takes for a parameter."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from nightbench.cli.main import main
from nightbench.cli.sql_command import display_width, write_result
from nightbench.history.ingest import land
from nightbench.history.store import Result
from nightbench.home.paths import Home
from tests.benchmarks.synthetic_nights import Shape, run_id_of, spool_night


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Home(tmp_path_factory.mktemp("home"))
    for night in range(2):
        spool_night(home.spool, night, Shape())
    land(home)
    return home.root


@pytest.fixture(autouse=True)
def _at_home(landed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTBENCH_HOME", str(landed))
    monkeypatch.delenv("COLUMNS", raising=False)


def written(result: Result, form: str) -> str:
    out = io.StringIO()
    write_result(result, form, out)
    return out.getvalue()


def test_columns_of_equal_name_are_all_in_the_json() -> None:
    result = Result(("a", "a", "a_1", "a"), ((1, 2, 3, 4),))
    assert list(json.loads(written(result, "json"))[0].values()) == [1, 2, 3, 4]
    assert list(json.loads(written(result, "json"))[0])[:3] == ["a", "a_2", "a_1"]


def test_csv_lines_end_as_the_shell_s_tools_expect() -> None:
    assert written(Result(("n",), ((1,),)), "csv") == "n\n1\n"


@pytest.mark.parametrize(
    ("asked", "value"),
    [
        ("1.5", 1.5), ("2.0::DECIMAL(4, 1)", 2), ("10::HUGEINT * 10", 100),
        ("TIMESTAMPTZ '2026-03-01 00:00:00+02'", "2026-02-28T22:00:00+00:00"),
        ("CAST(TIMESTAMPTZ '2026-03-01 00:00:00+02' AS DATE)", "2026-02-28"),
    ],
)  # fmt: skip
def test_numbers_are_numbers_and_times_are_utc(
    asked: str, value: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    assert main(["sql", f"SELECT {asked} AS value", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"value": value}]


def test_a_table_wider_than_the_terminal_is_shown_a_row_at_a_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["sql", "SELECT * FROM latest"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(display_width, lines)) <= 100
    assert sum(line.startswith("run_id ") for line in lines) == 4
    assert any(line.split()[:2] == ["target", "starter"] for line in lines)
    assert lines[-1] == "(4 rows)"


def test_a_program_that_reads_a_table_finds_a_line_for_each_row(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["sql", "SELECT * FROM latest"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 + 4 + 1


@pytest.mark.parametrize("run", ["latest", run_id_of(1), run_id_of(1)[:-1]])
def test_a_run_is_named_by_its_id_its_beginning_or_as_the_latest(
    run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["sql", "--query", "run_levels", "--param", f"run_id={run}", "--format", "json"]
    assert main(asked) == 0
    assert {row["run_id"] for row in json.loads(capsys.readouterr().out)} == {run_id_of(1)}


@pytest.mark.parametrize(
    ("query", "params", "told"),
    [
        ("trend", ["target=startre"], "no target 'startre'\n  It has starter."),
        ("trend", ["target=starter", "metric=speed"], "expected one of accuracy"),
        ("trend", ["target=starter", "nights=many"], "expected a whole number"),
        ("trend", ["target=starter", "nights=-1"], "expected a whole number"),
        ("trend", ["target=starter", "name=gsm9k"], "no name 'gsm9k'"),
        ("runs", ["limit=-1"], "expected a whole number"),
        ("capacity", ["ttft_p95_ms=fast"], "expected a number"),
        ("capacity", ["tpot_p95_ms=nan"], "expected a number"),
        ("leaderboard", ["benchmark=gsm9k"], "no benchmark 'gsm9k'"),
        ("run_levels", ["run_id=2035"], "no run begins with '2035'"),
        ("run_levels", ["run_id="], "a run's id is empty"),
        ("slowest_requests", ["run_id=latest", "target=starter", "level=c9"], "no level 'c9'"),
        ("runs", ["limit=1", "limit=2"], "given twice"),
    ],
)
def test_a_parameter_that_names_nothing_is_bad_input(
    query: str, params: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [word for pair in params for word in ("--param", pair)]
    assert main(["sql", "--query", query, *given]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert "LINE " not in said


@pytest.mark.parametrize(
    "sql", ["SELEC 1", "SELECT foo FROM runs", "FROM nowhere", "SELECT 'a'::INT"]
)
def test_what_duckdb_says_comes_without_line_numbers(
    sql: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sql", sql]) in (1, 2)
    said = capsys.readouterr().err
    assert "Error: " in said
    assert "LINE " not in said
    assert "^" not in said

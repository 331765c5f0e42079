"""What people type to look at the history."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from nightbench.accuracy.sample_text import WHICH
from nightbench.cli.main import main
from nightbench.cli.show_command import SAMPLES
from nightbench.cli.sql_command import cell, display_width, write_result
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


@pytest.fixture
def at_home(landed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NIGHTBENCH_HOME", str(landed))
    monkeypatch.setenv("COLUMNS", "80")
    return landed


@pytest.mark.usefixtures("at_home")
def test_sql_as_json_has_the_accuracy_and_each_level(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sql", "SELECT * FROM latest", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["kind"], row["subset_or_level"]) for row in rows] == [
        ("accuracy", "all"), ("load", "c1"), ("load", "c4"), ("load", "c8"),
    ]  # fmt: skip
    assert isinstance(rows[0]["accuracy"], float)
    assert isinstance(rows[1]["output_throughput"], float)


@pytest.mark.usefixtures("at_home")
def test_sql_as_csv_can_be_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sql", "SELECT run_id, invalid_reasons FROM latest", "--format", "csv"]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[:2] == [["run_id", "invalid_reasons"], [run_id_of(1), "[]"]]


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM runs",
        "DROP TABLE runs",
        "CREATE TEMP TABLE x (i INT)",
        "COPY (SELECT 1) TO 'x.csv'",
        "ATTACH 'x.db'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO 'x.csv'",
        "SELECT 1; DROP TABLE runs",
        "SET threads = 1",
        "INSTALL httpfs",
    ],
)
def test_writing_is_refused_with_exit_code_2(
    statement: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sql", statement]) == 2
    assert capsys.readouterr().err.startswith("nightbench: ")


@pytest.mark.usefixtures("at_home")
def test_other_files_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sql", "SELECT * FROM read_csv('/etc/passwd')"]) == 1
    assert "/etc/passwd" in capsys.readouterr().err


@pytest.mark.usefixtures("at_home")
def test_a_typing_error_names_where_to_look(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sql", "SELECT * FROM lattest"]) == 1
    told = capsys.readouterr().err
    assert "lattest" in told
    assert "sql/README.md" in told


@pytest.mark.usefixtures("at_home")
def test_a_named_query_takes_its_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["sql", "--query", "trend", "--param", "target=starter", "--param", "metric=accuracy"]
    assert main(asked) == 0
    assert "(2 rows)" in capsys.readouterr().out


@pytest.mark.usefixtures("at_home")
def test_a_missing_parameter_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sql", "--query", "trend"]) == 2
    assert "needs target" in capsys.readouterr().err


@pytest.mark.usefixtures("at_home")
def test_an_unknown_query_lists_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sql", "--query", "trends"]) == 2
    assert "leaderboard" in capsys.readouterr().err


def test_the_list_needs_no_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NIGHTBENCH_HOME", str(tmp_path))
    assert main(["sql", "--list"]) == 0
    told = capsys.readouterr().out
    assert "leaderboard" in told
    assert "load_requests" in told


@pytest.mark.parametrize("command", [["sql", "FROM latest"], ["history"], ["show", "latest"]])
def test_without_a_history_the_next_step_is_named(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NIGHTBENCH_HOME", str(tmp_path))
    assert main(command) == 1
    assert "nightbench run" in capsys.readouterr().err


@pytest.mark.usefixtures("at_home")
def test_history_lists_the_newest_run_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history"]) == 0
    told = capsys.readouterr().out
    assert 0 < told.index(run_id_of(1)) < told.index(run_id_of(0))
    assert "completed" in told


@pytest.mark.usefixtures("at_home")
def test_show_takes_the_beginning_of_a_run_id(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", run_id_of(0)[:12]]) == 0
    told = capsys.readouterr().out
    assert run_id_of(0) in told
    assert "openqa" in told
    assert "booted in 35 s" in told


@pytest.mark.usefixtures("at_home")
def test_show_of_an_ambiguous_beginning_names_the_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "2026"]) == 2
    assert run_id_of(0) in capsys.readouterr().err


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        (["wrong"], {0, 1, 4}),
        (["wrong", "--limit", "1"], {0}),
        (["right"], {2, 3, 5}),
        (["unparsed"], set()),
        (["flipped"], {0, 4}),
        (["flipped", "--against", run_id_of(1)], set()),
    ],
    ids=["wrong", "one", "right", "unparsed", "flipped", "against"],
)
def test_show_samples_shows_those_and_no_others(
    asked: list[str], numbers: set[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", run_id_of(1), "--samples", *asked]) == 0
    told = capsys.readouterr().out
    assert {n for n in range(6) if f"starter q{n} " in told} == numbers
    assert "\x1b" not in told


@pytest.mark.usefixtures("at_home")
def test_flipped_answers_are_compared_with_the_run_before_and_shown_beside_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["show", "latest", "--samples", "flipped", "--benchmark", "starter"]) == 0
    told = capsys.readouterr().out
    assert f"against {run_id_of(0)}" in told
    assert "before: right" in told
    assert "2 lost, 0 gained" in told
    assert main(["show", run_id_of(0), "--samples", "flipped"]) == 0
    assert "no earlier run" in capsys.readouterr().out


def test_answers_are_not_held_against_those_that_were_asked_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NIGHTBENCH_HOME", str(tmp_path))
    for night, key in enumerate(("cold", "warm", "cold")):
        spool_night(Home(tmp_path).spool, night, Shape(accuracy_key=key))
    land(Home(tmp_path))
    flipped = ["--samples", "flipped", "--benchmark", "starter"]

    assert main(["show", run_id_of(2), *flipped]) == 0
    assert f"against {run_id_of(0)}" in capsys.readouterr().out
    assert main(["show", run_id_of(1), *flipped]) == 0
    assert "no earlier run" in capsys.readouterr().out
    assert main(["show", run_id_of(2), *flipped, "--against", run_id_of(1)]) == 0
    assert f"asked differently in {run_id_of(1)}" in capsys.readouterr().out


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--samples", "wrong", "--target", "nobody"], "no samples of nobody"),
        (["--samples", "wrong", "--against", run_id_of(0)], "--samples flipped"),
        (["--benchmark", "starter"], "--samples wrong"),
    ],
    ids=["nobody", "against", "benchmark"],
)
def test_a_choice_of_no_samples_is_explained(
    asked: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", "latest", *asked]) == 2
    assert said in capsys.readouterr().err


def test_show_offers_every_kind_of_sample_there_is() -> None:
    assert set(SAMPLES) == {*WHICH, "flipped"}


def test_land_says_what_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NIGHTBENCH_HOME", str(tmp_path))
    assert main(["land"]) == 0
    assert capsys.readouterr().out == "nothing to ingest\n"
    spool_night(Home(tmp_path).spool, 0, Shape())
    assert main(["land"]) == 0
    assert capsys.readouterr().out.startswith("ingested 2 folders, ")


def test_text_a_model_wrote_drives_no_terminal() -> None:
    assert "\x1b" not in cell("\x1b[31mred\x1b[0m")


def test_chinese_text_takes_two_columns_a_character() -> None:
    assert display_width("一加一 = 2") == 10


def test_watch_without_a_dashboard_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NIGHTBENCH_HOME", str(tmp_path))
    assert main(["watch"]) == 2
    assert "--resync" in capsys.readouterr().err


HOSTILE = "=cmd|'/c calc'!A1"


def shown(result: Result, form: str, *, safe: bool = False) -> str:
    out = io.StringIO()
    write_result(result, form, out, safe=safe)
    return out.getvalue()


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_a_result_drives_no_terminal_names_of_columns_too(form: str) -> None:
    said = shown(Result(("a\x1b[2J",), (("b\x1b]0;t\x07\x9b31m\u202e",), (["c\x9b", "d"],))), form)
    assert not set(said) & set("\x1b\x07\x9b\u202e")


def test_json_says_the_same_as_before_its_control_characters_were_escaped() -> None:
    text = "b\x1b\x9b31m\u202e 三 \U000e0041"
    assert json.loads(shown(Result(("a",), ((text,),)), "json")) == [{"a": text}]


@pytest.mark.parametrize(
    "begins",
    ["=", "+", "-", "@", "\t", "\r", "＝", "\n", " =", "\u200b=", "\ufeff@", "\u00a0+", "\n\n-"],
)
def test_csv_that_is_to_be_safe_holds_no_formula(begins: str) -> None:
    result = Result((f"{begins}name",), ((f"{begins}1+1",), (-1.5,), ("plain",)))
    names, *rows = csv.reader(io.StringIO(shown(result, "csv", safe=True)))
    assert [names[0][0], rows[0][0][0]] == ["'", "'"]
    assert rows[1:] == [["-1.5"], ["plain"]], "numbers are no formulas"


def test_csv_is_as_it_is_unless_it_is_to_be_safe() -> None:
    result = Result(("a",), ((HOSTILE,),))
    assert list(csv.reader(io.StringIO(shown(result, "csv"))))[1] == [HOSTILE]


@pytest.mark.usefixtures("at_home")
def test_safe_is_for_csv(capsys: pytest.CaptureFixture[str]) -> None:
    statement = f"SELECT '{HOSTILE.replace(chr(39), chr(39) * 2)}' AS a"
    assert main(["sql", statement, "--format", "csv", "--safe"]) == 0
    assert f"'{HOSTILE}" in capsys.readouterr().out
    assert main(["sql", statement, "--safe"]) == 2

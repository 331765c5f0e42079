"""A night's own commands, and the date of the night, in whole nights."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from house import House

pytestmark = pytest.mark.timeout(300)


def noting(word: str, code: int = 0) -> dict[str, object]:
    """A command that notes a word and with which status it was called."""
    script = (
        "import os, sys; open('noted', 'a').write("
        f"'{word} ' + os.environ.get('NIGHTBENCH_STATUS', '-') + '\\n'); sys.exit({code})"
    )
    return {"argv": [sys.executable, "-c", script], "timeout": "20s"}


def noted(house: House) -> list[str]:
    return (house.folder / "noted").read_text().splitlines()


def test_before_and_after_run_around_a_night_and_a_failure_after_it_is_said(house: House) -> None:
    suite = house.suite(
        load=[], before=[noting("drain")], after=[noting("undrain", 3), noting("tell")]
    )

    night = house("run", str(suite))

    assert night.returncode == 0, night.stdout + night.stderr
    assert noted(house) == ["drain -", "undrain completed", "tell completed"]
    assert "failed with exit code 3" in night.stdout
    [run] = house.sql("SELECT status, error FROM runs")
    assert run["status"] == "completed"
    assert run["error"].startswith("after the night: `")


def test_where_a_command_before_the_night_fails_nothing_is_measured(house: House) -> None:
    suite = house.suite(before=[noting("drain", 7)], after=[noting("undrain")])

    night = house("run", str(suite))

    assert night.returncode == 1
    assert "failed with exit code 7" in night.stderr
    assert noted(house) == ["drain -", "undrain failed"]
    assert house.sql("SELECT status FROM runs") == [{"status": "failed"}]
    assert house.sql("SELECT count(*) AS n FROM targets") == [{"n": 0}]


def test_a_cancelled_night_gives_its_node_back(house: House) -> None:
    suite = house.suite(
        load=[
            {
                "name": "long",
                "workload": {"kind": "openqa", "path": "prompts.jsonl"},
                "max_concurrency": 1,
                "num_prompts": 250,
                "generation": {"max_tokens": 400},
            }
        ],
        before=[noting("drain")],
        after=[noting("undrain")],
    )
    with house.start("run", str(suite)) as night:
        assert night.stdout is not None
        while "long" not in (line := night.stdout.readline()):
            assert line, "the night ended"
        os.killpg(night.pid, signal.SIGINT)
        said = night.stdout.read()

    assert night.returncode == 130, said
    give_up = time.monotonic() + 20
    while noted(house)[-1] != "undrain cancelled":
        assert time.monotonic() < give_up, noted(house)
        time.sleep(0.1)


def test_the_night_of_a_run_is_the_date_where_its_schedule_is(
    house_with_its_own_prefect: House, tmp_path: Path
) -> None:
    """Twelve hours ahead or behind: one of the two is another date than in UTC. (In a server of
    its own: the shared one may have a schedule, which counts first.)"""
    house = house_with_its_own_prefect
    results = {}
    for zone in ("Etc/GMT+12", "Etc/GMT-14"):
        house.env["NIGHTBENCH_TIMEZONE"] = zone
        file = tmp_path / "results.json"
        night = house("run", str(house.suite(load=[], accuracy=[])), "--json", str(file))
        assert night.returncode == 0, night.stdout + night.stderr
        results[zone] = json.loads(file.read_text())["run_id"]
    rows = house.sql(
        "SELECT run_id, night::VARCHAR AS night, "
        "(started_at - INTERVAL 12 HOUR)::DATE::VARCHAR AS west, "
        "(started_at + INTERVAL 14 HOUR)::DATE::VARCHAR AS east FROM runs"
    )
    by_run = {row["run_id"]: row for row in rows}
    assert by_run[results["Etc/GMT+12"]]["night"] == by_run[results["Etc/GMT+12"]]["west"]
    assert by_run[results["Etc/GMT-14"]]["night"] == by_run[results["Etc/GMT-14"]]["east"]
    targets = house.sql("SELECT run_id, night::VARCHAR AS night FROM targets")
    assert {row["run_id"]: row["night"] for row in targets} == {
        run: row["night"] for run, row in by_run.items()
    }

"""What has changed is held against what was accepted before it, booted the same night in turns."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from house import REFERENCE_SERVER, House

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def night_at(house: House, itl_ms: str, **changes: Any) -> str:
    """A night of a server whose speed is an argument, so that another speed is another
    configuration; what was said. A night that a busy machine starved is measured again."""
    argv = [sys.executable, str(REFERENCE_SERVER), "--port={port}", "--ttft-ms=20"]
    target = {
        "name": "reference",
        "served_model_name": "truth",
        "engine": {"kind": "command", "argv": [*argv, f"--itl-ms={itl_ms}"]},
        "boot_timeout_s": 30,
    }
    verdicts = {"primary": ["median_tpot_ms"], "reserve": 0.5}
    suite = {"targets": [target], "accuracy": [], "verdicts": verdicts, "time_budget": "20m"}
    for _ in range(3):
        night = house("run", str(house.suite(**(suite | changes))))
        assert night.returncode == 0, night.stdout + night.stderr
        if newest(house)["verdict"] != "starved":
            break
    return night.stdout


def newest(house: House) -> dict[str, Any]:
    return house.sql("SELECT * FROM verdicts ORDER BY judged_at DESC LIMIT 1")[0]


def boots_of(house: House, run: str) -> list[str]:
    """The kinds of what was measured again in a run, in the order in which it was."""
    rows = house.sql(
        "SELECT kind, number, min(measured_at) AS first FROM further_values "
        f"WHERE run_id = '{run}' GROUP BY kind, number ORDER BY first"
    )
    return [str(row["kind"]) for row in rows]


def test_a_slower_configuration_is_told_from_its_node_and_a_harmless_one_is_left_alone(
    house: House,
) -> None:
    for _ in range(3):
        night_at(house, "10")
    harmless = night_at(house, "10.0")
    assert newest(house)["event"] is None, harmless

    verdicts = {"primary": ["median_tpot_ms"], "reserve": 0}
    without_time = night_at(house, "11", verdicts=verdicts)
    assert "measuring against the accepted configuration was skipped: " in without_time
    row = newest(house)
    assert (row["event"], boots_of(house, row["run_id"])) == (None, [])

    slower = night_at(house, "11.0")
    row = newest(house)
    assert (row["verdict"], row["event_kind"]) == ("regressed", "regressed"), slower
    assert 8.0 < row["size_pct"] < 12.0
    assert "the engine's configuration in the suite; measured again on " in row["detail"]
    assert "of the configuration accepted before: it is the change, not the node" in row["detail"]
    boots = boots_of(house, row["run_id"])
    assert boots[:4] == ["ref", "fresh", "fresh", "ref"]
    assert boots[4:] in ([], ["ref", "fresh"])
    control = house.sql("SELECT avg(value) AS tpot_ms FROM further_values WHERE kind = 'ref'")[0]
    assert control["tpot_ms"] == pytest.approx(10.0, rel=0.03)
    argv = house.sql("SELECT DISTINCT argv[-1] AS itl FROM servers ORDER BY itl")
    assert [one["itl"] for one in argv] == [
        "--itl-ms=10", "--itl-ms=10.0", "--itl-ms=11", "--itl-ms=11.0",
    ]  # fmt: skip
    assert house.living() == []


def test_a_night_that_asks_something_else_asks_as_before_too_and_goes_on(house: House) -> None:
    night_at(house, "10")
    night_at(house, "10")
    load = {
        "name": "chat",
        "workload": {"kind": "openqa", "path": "prompts.jsonl"},
        "max_concurrency": [2, 4],
        "num_prompts": 20,
        "generation": {"max_tokens": 20},
    }
    changed = night_at(house, "10", load=[load])
    row = newest(house)
    assert row["verdict"] == "method changed", changed
    assert "chat has other prompts or settings since tonight; measured both ways" in row["detail"]
    as_before = house.sql(
        "SELECT DISTINCT kind FROM further_values "
        "JOIN load_levels USING (target, workload, level, measurement_key) "
        f"WHERE further_values.run_id = '{row['run_id']}' "
        f"AND load_levels.run_id <> '{row['run_id']}'"
    )
    assert as_before == [{"kind": "old"}]
    assert house.sql("SELECT count(*) AS n FROM load_levels") == [{"n": 6}]
    night_at(house, "10", load=[load])
    assert newest(house)["verdict"] != "method changed"
    assert not newest(house)["is_new"]

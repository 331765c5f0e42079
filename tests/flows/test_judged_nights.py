"""Nights that become slower: what the real command says, and what it exits with."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from house import REFERENCE_SERVER, House

pytestmark = pytest.mark.timeout(600)

# As slow as a file says tonight, behind the same configuration.
SERVER = """import pathlib, runpy, sys
itl = pathlib.Path(__file__).with_name("itl_ms").read_text()
sys.path.insert(0, str(pathlib.Path({server!r}).parent))
sys.argv = [sys.argv[0], sys.argv[1], "--ttft-ms=20", "--itl-ms=" + itl]
runpy.run_path({server!r}, run_name="__main__")
"""


def gated_suite(house: House, **changes: Any) -> str:
    script = house.folder / "server_of_tonight.py"
    script.write_text(SERVER.format(server=str(REFERENCE_SERVER)), encoding="utf-8")
    target = {
        "name": "reference",
        "served_model_name": "truth",
        "engine": {"kind": "command", "argv": [sys.executable, str(script), "--port={port}"]},
        "boot_timeout_s": 30,
    }
    return str(
        house.suite(
            targets=[target], accuracy=[], gates={"max_regression": 0.05},
            verdicts={"primary": ["output_throughput"], "reserve": 0}, time_budget="30m", **changes,
        )
    )  # fmt: skip


def test_three_nights_each_half_as_fast_end_in_a_regression_and_a_failed_gate(house: House) -> None:
    suite = gated_suite(house)
    said, codes = [], []
    for itl_ms in (10, 30, 90):
        (house.folder / "itl_ms").write_text(str(itl_ms), encoding="utf-8")
        night = house("run", suite, "--gate", "--json", "results.json")
        said.append(night.stdout + night.stderr)
        codes.append(night.returncode)
    assert codes == [0, 3, 3], "\n".join(said)
    assert "reference has nothing to be held against yet" in said[0]
    assert "gate max_regression 5.0%: reference may have regressed: output tok/s −" in said[1]
    assert "one night cannot yet tell it from the node" in said[1]
    assert "measuring again on fresh boots was skipped: " in said[1]
    assert "gate max_regression 5.0%: reference regressed: output tok/s −" in said[2]
    results = json.loads((house.folder / "results.json").read_text(encoding="utf-8"))
    assert [row["verdict"] for row in results["verdicts"]] == ["regressed"]
    assert house("verdicts").stdout.strip().startswith("✗ reference regressed: ")
    event = house.sql("SELECT event, kind FROM open_events")[0]
    assert event["kind"] == "regressed"
    assert house("accept", event["event"], "--reason", "a slower server").returncode == 0
    night = house("run", suite, "--gate")
    assert night.returncode == 0, night.stdout + night.stderr
    assert house.sql("SELECT * FROM open_events") == []

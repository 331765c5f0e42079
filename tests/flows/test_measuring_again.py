"""A night that looks slow is measured again before it is judged."""

from __future__ import annotations

import sys

import pytest
from house import REFERENCE_SERVER, House

pytestmark = pytest.mark.timeout(600)

# As slow as a file says, boot after boot: the last line lasts.
SERVER = """import pathlib, runpy, sys
file = pathlib.Path(__file__).with_name("itl_ms")
first, *rest = file.read_text().split()
if rest:
    file.write_text(" ".join(rest))
sys.path.insert(0, str(pathlib.Path({server!r}).parent))
sys.argv = [sys.argv[0], sys.argv[1], "--ttft-ms=20", "--itl-ms=" + first]
runpy.run_path({server!r}, run_name="__main__")
"""


def test_a_boot_that_went_wrong_is_not_the_nights(house: House) -> None:
    script = house.folder / "server_of_tonight.py"
    script.write_text(SERVER.format(server=str(REFERENCE_SERVER)), encoding="utf-8")
    target = {
        "name": "reference",
        "served_model_name": "truth",
        "engine": {"kind": "command", "argv": [sys.executable, str(script), "--port={port}"]},
        "boot_timeout_s": 30,
    }
    suite = str(
        house.suite(
            targets=[target], accuracy=[], gates={"max_regression": 0.05},
            verdicts={"primary": ["output_throughput"]},
        )
    )  # fmt: skip
    (house.folder / "itl_ms").write_text("10", encoding="utf-8")
    assert house("run", suite, "--gate").returncode == 0
    (house.folder / "itl_ms").write_text("40 10", encoding="utf-8")
    night = house("run", suite, "--gate")
    assert night.returncode == 0, night.stdout + night.stderr
    again = house.sql("SELECT DISTINCT kind, number FROM further_values ORDER BY number")
    assert {row["kind"] for row in again} == {"fresh"}
    assert 2 <= len(again) <= 4
    levels = house.sql("SELECT count(*) AS n FROM load_levels")
    assert levels == [{"n": 4}]
    servers = house.sql("SELECT launch FROM servers ORDER BY started_at")
    assert [row["launch"] for row in servers][:4] == [1, 1, 3, 5]
    verdict = house.sql("SELECT verdict, event FROM verdicts ORDER BY judged_at DESC LIMIT 1")
    assert verdict == [{"verdict": "inconclusive", "event": None}]
    assert house.living() == []

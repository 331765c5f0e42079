"""The suites that ship, rehearsed: booted for real, asked, loaded and gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nightbench.home.paths import Home
from nightbench.resources import suites_dir

pytestmark = [pytest.mark.engine, pytest.mark.build, pytest.mark.timeout(1800)]


def test_the_suites_that_ship_are_rehearsed(
    engine_home: Home, builtin_model: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for part in ("engines", "models"):
        (home / part).symlink_to((engine_home.root / part).resolve())
    (tmp_path / "leases").mkdir()
    suites = sorted(map(str, suites_dir().glob("*.yaml")))
    done = subprocess.run(
        [sys.executable, "-m", "nightbench.cli.main", "rehearse", *suites],
        env=os.environ
        | {"NIGHTBENCH_HOME": str(home), "NIGHTBENCH_LEASES": str(tmp_path / "leases")},
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    told = done.stdout.partition("The rehearsal")[2]
    assert all(f"{Path(suite).stem}: " in told for suite in suites)
    assert "failed" not in told
    assert list((home / "rehearsals").iterdir()) == []

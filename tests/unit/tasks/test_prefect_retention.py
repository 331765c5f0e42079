"""How long Prefect remembers our runs."""

from __future__ import annotations

import pytest

from nightbench.errors import BadInput
from tasks.prefect_retention import Retention, retentions


def days(environ: dict[str, str]) -> dict[str, int]:
    return {one.flow: one.days for one in retentions(environ)}


def test_nights_are_remembered_for_a_season_and_maintenance_for_days() -> None:
    assert days({}) == {"nightly": 90, "benchmark-target": 90, "maintenance": 3}
    assert Retention("maintenance", 3, 72) in retentions({})


def test_the_days_can_be_set_and_are_at_least_one() -> None:
    said = days({"NIGHTBENCH_PREFECT_DAYS": "1"})
    assert said == {"nightly": 1, "benchmark-target": 1, "maintenance": 1}
    assert days({"NIGHTBENCH_PREFECT_DAYS": "365"})["maintenance"] == 3


@pytest.mark.parametrize("said", ["0", "-1", "1.5", "", "soon", "１"])
def test_what_is_no_number_of_days_is_refused(said: str) -> None:
    with pytest.raises(BadInput, match="is not a number of days"):
        retentions({"NIGHTBENCH_PREFECT_DAYS": said})

"""Which node gets which target."""

from __future__ import annotations

import pytest

from nightbench.night.placing import Pool, place
from nightbench.suite.models import Target


def target(name: str, num_gpus: int) -> Target:
    engine = {"kind": "command", "argv": ["serve", "{port}"], "num_gpus": num_gpus}
    return Target.model_validate({"name": name, "engine": engine})


def pools(*names: str) -> list[Pool]:
    return [Pool(name, f"benchmark-target/{name}") for name in names]


def placed(needs: list[int], gpus_here: int, *elsewhere: str) -> list[str | None]:
    targets = [target(f"t{n}", needed) for n, needed in enumerate(needs)]
    found = place(targets, gpus_here, pools(*elsewhere))
    return [pool.name if pool else None for pool in found.values()]


@pytest.mark.parametrize(
    ("name", "num_gpus"), [("cpu", 0), ("gpu4", 4), ("gpu8-rack2", 8), ("gpus", 0), ("mine", 0)]
)
def test_a_pool_says_by_its_name_what_its_nodes_have(name: str, num_gpus: int) -> None:
    assert Pool(name, "d").num_gpus == num_gpus


def test_one_machine_measures_everything_itself() -> None:
    assert placed([0, 1, 4], 4) == [None, None, None]
    assert placed([0, 4], 0) == [None, None]


def test_a_target_goes_where_its_gpus_are_and_no_larger_than_it_must() -> None:
    assert placed([0, 1, 4, 8], 0, "gpu8", "gpu4", "cpu") == [None, "gpu4", "gpu4", "gpu8"]


def test_what_this_machine_can_do_stays_here() -> None:
    assert placed([4, 8], 4, "gpu4", "gpu8") == [None, "gpu8"]


def test_equal_pools_take_turns() -> None:
    assert placed([4, 4, 4], 0, "gpu4-b", "gpu4-a") == ["gpu4-a", "gpu4-b", "gpu4-a"]


def test_what_nobody_can_hold_stays_here_where_the_lease_says_so() -> None:
    assert placed([16], 0, "gpu8") == [None]

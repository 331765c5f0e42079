"""The strict readers read as a person does: on replies that nobody looked at while writing them."""

from __future__ import annotations

import pytest

from tests.unit.accuracy.labelled_replies import LABELLED, agreement, misread

AGREEMENT = 0.98


@pytest.mark.parametrize("half", ["seen", "held out"])
def test_the_strict_readers_agree_with_a_person(half: str) -> None:
    right, of = agreement(half)

    assert right / of >= AGREEMENT, list(misread(half))


def test_enough_replies_are_labelled_and_enough_are_a_real_models() -> None:
    real = [row for row in LABELLED if row["source"] != "by hand"]
    held_out = [row for row in LABELLED if row["half"] == "held out"]

    assert len(LABELLED) >= 300
    assert len(real) >= 150
    assert len(held_out) >= len(LABELLED) // 2 - 5
    assert {row["reader"] for row in held_out} == {"choice", "math", "program"}

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from nightbench.accuracy.comparison import (
    compare,
    mcnemar_exact,
    minimum_detectable_drop,
    permutation_p_value,
)
from tests.unit.accuracy.test_summary import sample


@pytest.mark.parametrize(
    ("lost", "gained", "p_value"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 0.0625), (6, 0, 0.03125), (10, 2, 0.0385742), (3, 3, 1.0)],
)
def test_mcnemar_is_exact(lost: int, gained: int, p_value: float) -> None:
    assert mcnemar_exact(lost, gained) == pytest.approx(p_value, abs=1e-6)
    assert mcnemar_exact(gained, lost) == mcnemar_exact(lost, gained)


def test_runs_are_paired_and_the_flips_are_named() -> None:
    before = [sample(n, correct=n < 8) for n in range(10)]
    after = [sample(n, correct=n >= 2) for n in range(10)]

    result = compare(before, after, rng=random.Random(1))

    assert (result.num_questions, result.difference) == (10, 0.0)
    assert [flip.sample_id for flip in result.lost] == ["IQ/0", "IQ/1"]
    assert [flip.sample_id for flip in result.gained] == ["IQ/8", "IQ/9"]
    assert result.p_value == 1.0


def test_a_question_that_was_asked_differently_is_not_paired() -> None:
    before = [sample(n, correct=True) for n in range(3)]
    after = [replace(sample(0, correct=False), prompt_hash="new"), sample(1, correct=True)]

    assert compare(before, after, rng=random.Random(1)).num_questions == 1


def test_repeats_are_compared_by_permutation() -> None:
    before = [sample(n, correct=True, repeat=k) for n in range(12) for k in range(3)]
    after = [sample(n, correct=k > 0, repeat=k) for n in range(12) for k in range(3)]

    result = compare(before, after, rng=random.Random(1))

    assert result.difference == pytest.approx(-1 / 3)
    assert len(result.lost) == 12
    assert result.p_value == pytest.approx(2 / 2**12, abs=1e-3)


def test_the_permutation_test_agrees_with_mcnemar_on_single_answers() -> None:
    differences = [-1.0] * 10 + [1.0] * 2 + [0.0] * 50

    assert permutation_p_value(differences, rng=random.Random(1)) == pytest.approx(
        mcnemar_exact(10, 2), abs=0.01
    )


def test_a_hundred_and_twenty_questions_cannot_show_a_two_point_drop() -> None:
    assert minimum_detectable_drop(120, 0.75) > 0.05
    assert minimum_detectable_drop(20_000, 0.75) < 0.02
    assert minimum_detectable_drop(3, 0.75) > 0.9


def test_the_detectable_drop_is_found_in_about_four_of_five_cases() -> None:
    rng = random.Random(7)
    n, accuracy, flips = 400, 0.75, 0.08
    drop = minimum_detectable_drop(n, accuracy, flip_share=flips)
    found = 0
    for _ in range(400):
        lost = sum(rng.random() < flips / 2 + drop for _ in range(n))
        gained = sum(rng.random() < flips / 2 for _ in range(n))
        found += mcnemar_exact(lost, gained) < 0.05
    assert 0.7 < found / 400 < 0.9

"""What a night's verdicts claim, over nights whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from nightbench.verdicts.series import plain_pct
from tests.unit.verdicts.nights import Bench, step


def changed(since: int, provenance: int = 1):
    return lambda target, night: provenance if target == 0 and night >= since else 0


def test_unchanged_noise_stays_quiet() -> None:
    bench = Bench()
    bench.run(60)
    said = {word for target in range(6) for word in bench.words(target)[3:]}
    assert said <= {"ok", "inconclusive"}


def test_a_step_under_an_unchanged_provenance_is_found_on_fresh_boots() -> None:
    bench = Bench(step(10.0, 30))
    bench.run(34)
    assert bench.nights_of(0, "regressed") == [30, 31, 32, 33]
    assert bench.verdicts[30][0].since == 30
    assert "fresh" in {kind for night, target, kind, _ in bench.asked if (night, target) == (30, 0)}


def test_a_steps_size_and_interval_are_of_fresh_values() -> None:
    bench = Bench(step(10.0, 30))
    bench.run(31)
    size = bench.last(0).size
    assert size is not None
    assert plain_pct(size.low) <= 10.0 <= plain_pct(size.high)


def test_a_step_with_a_changed_provenance_is_held_against_the_accepted_one() -> None:
    bench = Bench(step(5.0, 30), provenance=changed(30))
    bench.run(32)
    assert bench.nights_of(0, "regressed")[0] <= 31
    assert bench.last(0).controlled
    assert "ref" in {kind for _, target, kind, _ in bench.asked if target == 0}


def test_only_the_target_that_moved_has_an_event() -> None:
    bench = Bench(step(10.0, 30))
    bench.run(36)
    for neighbour in range(1, 6):
        assert "regressed" not in bench.words(neighbour)
        assert "improved" not in bench.words(neighbour)


def test_a_drift_is_found_before_it_is_four_per_cent() -> None:
    def drifting(target: int, night: int) -> float:
        return max(0, night - 39) * 0.2 if target == 0 else 0.0

    bench = Bench(drifting)
    bench.run(60)
    assert bench.nights_of(0, "regressed")


def test_a_node_slowdown_is_the_nodes_and_nobodys_regression() -> None:
    bench = Bench(node=lambda night: 9.0 if 30 <= night < 34 else 0.0)
    bench.run(44)
    for target in range(6):
        assert "regressed" not in bench.words(target)
        assert "improved" not in bench.words(target)
        assert bench.words(target)[31] == "node"
        assert bench.words(target)[-1] == "ok"


def test_a_target_that_regresses_on_a_slow_nodes_night_is_still_found() -> None:
    bench = Bench(step(10.0, 32), node=lambda night: 9.0 if 30 <= night < 36 else 0.0)
    bench.run(35)
    assert bench.words(0)[34] == "regressed"


def test_an_event_stays_open_and_out_of_the_baseline_until_it_recovers() -> None:
    bench = Bench(step(10.0, 30, until=70))
    bench.run(70)
    assert set(bench.words(0)[31:70]) == {"regressed"}
    bench.run(5)
    words = bench.words(0)[70:]
    assert "recovered" in words[:3]
    assert words[-1] == "ok"


def test_an_accepted_shift_starts_an_epoch_and_is_quiet_from_then_on() -> None:
    bench = Bench(
        step(8.0, 30),
        provenance=changed(30),
        accepted=lambda target, night: 1 if target == 0 and night >= 34 else 0,
    )
    bench.run(60)
    assert bench.nights_of(0, "regressed") == [30, 31, 32, 33]


def test_after_an_accepted_shift_the_next_step_is_measured_from_there() -> None:
    bench = Bench(
        lambda target, night: 0 if target or night < 30 else -8.0 if night < 50 else 0.0,
        provenance=lambda target, night: 0 if target or night < 30 else 1,
        accepted=lambda target, night: 0 if target or night < 33 else 1,
    )
    bench.run(54)
    assert bench.nights_of(0, "improved") == [30, 31, 32]
    assert bench.nights_of(0, "regressed")[0] <= 51


def test_a_harmless_upgrade_is_accepted_by_itself() -> None:
    bench = Bench(provenance=changed(30))
    bench.run(50)
    assert set(bench.words(0)[3:]) <= {"ok", "inconclusive"}
    assert bench.fleet.candidates[0] is None
    assert 1 in bench.fleet.equivalent[0]


def test_nights_that_are_missing_shift_nothing() -> None:
    bench = Bench(missing=lambda target, night: (night + target) % 4 == 0, seed=5)
    bench.run(60)
    said = {word for target in range(6) for word in bench.words(target)[12:]}
    assert said <= {"ok", "inconclusive", "invalid"}


def test_a_night_without_a_value_is_said_to_be_invalid() -> None:
    bench = Bench(missing=lambda target, night: target == 0 and night == 10)
    bench.run(11)
    assert bench.last(0).word == "invalid"


def test_without_a_history_nothing_is_claimed() -> None:
    bench = Bench()
    bench.run(2)
    assert {v.word for night in bench.verdicts for v in night} == {"inconclusive"}


def test_alone_on_a_node_one_night_is_a_notice_and_two_are_an_event() -> None:
    bench = Bench(step(12.0, 40), targets=1)
    bench.run(43)
    assert bench.words(0)[40] == "inconclusive"
    assert "regressed" in bench.words(0)[41:]


def test_alone_on_a_node_a_control_tells_the_engine_from_the_node_at_once() -> None:
    bench = Bench(step(12.0, 40), targets=1, provenance=changed(40))
    bench.run(41)
    assert bench.last(0).word == "regressed"
    assert bench.last(0).controlled


def test_alone_on_a_node_that_slows_an_upgrade_is_not_blamed() -> None:
    bench = Bench(targets=1, provenance=changed(40), node=lambda n: 12.0 if n >= 40 else 0.0)
    bench.run(42)
    assert "regressed" not in bench.words(0)


def test_without_time_to_measure_again_one_night_makes_no_event() -> None:
    bench = Bench(step(10.0, 30), measures_again=False)
    bench.run(31)
    assert bench.last(0).word == "inconclusive"
    assert bench.last(0).wanted > 0
    bench.run(2)
    assert bench.last(0).word == "regressed"


def test_one_boot_that_went_wrong_is_no_event() -> None:
    bench = Bench()
    bench.run(30)
    original = bench._value
    bench._value = lambda target, boot, effect=None: (
        original(target, boot, effect)
        + (  # type: ignore[method-assign]
            12.0 if target == 0 and boot == bench.boots[0] else 0.0
        )
    )
    bench.run(1)
    assert bench.last(0).word == "ok"
    bench.run(8)
    assert "regressed" not in bench.words(0)


def test_judged_again_the_nights_give_the_same_verdicts() -> None:
    def verdicts() -> list[object]:
        bench = Bench(step(5.0, 30), provenance=changed(30))
        return list(bench.run(36))

    assert verdicts() == verdicts()


@pytest.mark.parametrize("seed", range(3))
def test_an_improvement_is_no_regression(seed: int) -> None:
    bench = Bench(step(-8.0, 30), provenance=changed(30), seed=seed)
    bench.run(34)
    assert bench.nights_of(0, "improved")
    assert not bench.nights_of(0, "regressed")
    size = bench.last(0).size
    assert size is not None
    assert size.high < 0


def test_a_screened_night_is_replaced_by_what_was_measured_again() -> None:
    bench = Bench(step(10.0, 30))
    bench.run(31)
    assert bench.fleet.boots[0, 30] == 4
    assert np.all(bench.fleet.boots[1:, 30] == 1)


def test_three_nights_that_halve_each_time_are_a_regression() -> None:
    bench = Bench(lambda target, night: (0.0, 93.0, 287.0)[night], targets=1, measures_again=False)
    bench.run(3)
    assert bench.words(0) == ["inconclusive", "inconclusive", "regressed"]
    assert [night[0].notice for night in bench.verdicts] == [False, True, False]
    assert bench.last(0).since == 1


def test_a_young_series_is_not_accused_of_what_machines_do() -> None:
    bench = Bench(lambda target, night: (0.0, 9.0, 5.0)[night], targets=1, measures_again=False)
    bench.run(3)
    assert set(bench.words(0)) == {"inconclusive"}
    assert all(night[0].new for night in bench.verdicts)


@pytest.mark.parametrize("targets", [1, 6])
def test_where_nothing_can_be_measured_again_an_upgrade_takes_two_nights(targets: int) -> None:
    bench = Bench(
        step(15.0, 20), provenance=changed(20), targets=targets, measures_again=False, seed=3
    )
    bench.run(23)
    assert bench.words(0)[20:] == ["inconclusive", "regressed", "regressed"]
    assert bench.verdicts[20][0].notice
    assert bench.last(0).since == 20


def test_a_person_accepts_an_event_though_nothing_that_is_known_has_changed() -> None:
    bench = Bench(step(12.0, 20), seed=4)
    bench.run(24)
    assert bench.words(0)[-1] == "regressed"
    bench.accepts = {24: 0}
    bench.run(12)
    assert set(bench.words(0)[24:]) <= {"ok", "inconclusive"}


def test_a_smallest_effect_of_its_own_keeps_a_series_quiet_below_it() -> None:
    effects = np.full(6, np.log1p(0.02) * 100)
    effects[0] = np.log1p(0.2) * 100
    bench = Bench(step(10.0, 20, who=(0, 1)), min_effect=effects)
    bench.run(24)
    assert "regressed" not in bench.words(0)
    assert bench.words(1)[-1] == "regressed"

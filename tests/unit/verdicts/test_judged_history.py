"""What a history of real nights is said to show: rows in, one verdict a target out."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from nightbench.verdicts.composites import Eras, chain
from nightbench.verdicts.measured import Again, MinEffect, Settings
from nightbench.verdicts.measured_now import Wanted
from nightbench.verdicts.night_replay import Judged, judge_run
from nightbench.verdicts.wording import sentence
from tests.unit.verdicts.rows import BEGAN, LEVELS, Rows


def rows_night(night: int) -> date:
    return (BEGAN + timedelta(days=night)).date()


def words(said: list[dict], target: str = "a") -> list[str]:
    return [night[target].word for night in said]


def test_three_nights_at_352_182_and_91_tokens_a_second_are_a_regression() -> None:
    rows = Rows(lambda target, night: (0.0, 93.4, 286.8)[night], targets=("a",), noise=0.1)
    said = rows.judge(3)
    assert words(said) == ["inconclusive", "inconclusive", "regressed"]
    assert (said[0]["a"].new, said[1]["a"].notice) == (True, True)
    last = said[2]["a"]
    assert last.change is not None
    assert last.since == rows.ran[1].night
    assert last.change.levels == ("c1", "c5", "c20")


def test_ten_nights_of_the_same_stay_quiet() -> None:
    said = Rows(noise=1.0).judge(10)
    assert {judged.word for night in said[3:] for judged in night.values()} == {"ok"}


def test_a_sentence_says_which_number_by_how_much_where_and_since_when() -> None:
    rows = Rows(lambda target, night: 9.0 if target == "a" and night >= 14 else 0.0)
    rows.add(14)
    said = rows.judge(2)
    assert words(said) == ["inconclusive", "regressed"]
    night = rows.ran[-1].night
    text = sentence(said[-1]["a"], night, "vLLM 0.32.0 → 0.33.0")
    assert text.startswith("a regressed: ")
    assert "since 2026-01-15" in text
    assert text.endswith("; vLLM 0.32.0 → 0.33.0")
    assert "at c1 to c20" in text


def test_throughput_falls_and_latency_rises_and_both_are_worse() -> None:
    rows = Rows(lambda target, night: 25.0 if target == "a" and night >= 14 else 0.0)
    for metric, sign in (("output_throughput", -1.0), ("median_ttft_ms", 1.0)):
        rows.ran, rows.values, rows.night = [], [], -1
        rows.add(15)
        change = rows.judge(1, Settings(primary=(metric,)))[-1]["a"].change
        assert change is not None
        assert change.metric == metric
        assert change.size_pct == pytest.approx(25.0, abs=3.0)
        assert change.relative * sign > 0.15


def test_an_unaccepted_regression_stays_since_its_night_and_accept_starts_an_epoch() -> None:
    rows = Rows(lambda target, night: 9.0 if target == "a" and night >= 14 else 0.0)
    rows.add(14)
    said = rows.judge(6)
    assert words(said)[1:] == ["regressed"] * 5
    assert {night["a"].since for night in said[1:]} == {rows.ran[14 * 4].night}
    rows.accept("a")
    assert rows.judge(1)[0]["a"].open_kind is None
    assert set(words(rows.judge(6))) <= {"ok", "inconclusive"}


def test_an_acceptance_counts_from_the_next_run_so_that_a_night_stays_as_it_was_judged() -> None:
    rows = Rows(lambda target, night: 9.0 if target == "a" and night >= 14 else 0.0)
    rows.add(15)
    before = rows.judge(1)
    rows.accept("a")
    again = {j.target: j for j in judge_run(rows.ran, rows.values, rows.accepted)}
    assert again == before[0]


def test_levels_that_are_not_valid_shift_nothing() -> None:
    rows = Rows(valid=lambda target, night, level: (night + LEVELS.index(level)) % 4 != 0)
    rows.add(18)
    said = rows.judge(4)
    assert {judged.word for night in said for judged in night.values()} <= {"ok", "inconclusive"}


def test_a_night_without_a_valid_level_is_said_to_be_invalid_or_starved() -> None:
    def never(target: str, night: int, level: str) -> bool:
        return night != 6

    for reason, word in (("failures", "invalid"), ("client_lag", "starved")):
        said = Rows(valid=never, reasons=(reason,)).judge(8)
        assert words(said)[5:] == ["ok", word, "ok"]
        assert reason in sentence(said[6]["a"], said[6]["a"].since or rows_night(6))


def test_a_target_that_was_not_measured_is_said_to_be_and_keeps_its_event() -> None:
    rows = Rows(
        lambda target, night: 9.0 if target == "a" and night >= 10 else 0.0,
        missing=lambda target, night: target == "a" and night == 13,
    )
    rows.add(13)
    last = rows.judge(1)[-1]["a"]
    assert (last.word, last.open_kind) == ("not measured", "regressed")
    text = sentence(last, rows.ran[-1].night)
    assert text.startswith("a was not measured (exited before it was ready)")
    assert text.endswith("; it is still regressed since 2026-01-11")


def test_other_prompts_are_a_changed_method_and_no_regression() -> None:
    rows = Rows(
        lambda target, night: 40.0 if target == "a" and night >= 10 else 0.0,
        key=lambda target, night: "k2" if target == "a" and night >= 10 else "k",
    )
    rows.add(9)
    said = rows.judge(5)
    assert words(said) == ["ok", "method changed", "inconclusive", "inconclusive", "ok"]
    assert "chat has other prompts" in sentence(said[1]["a"], rows_night(10))
    assert "night 2 of its series" in sentence(said[2]["a"], rows_night(11))


def test_an_upgrade_that_makes_it_slower_is_found_on_its_second_night() -> None:
    rows = Rows(
        lambda target, night: 12.0 if target == "a" and night >= 14 else 0.0,
        provenance=lambda target, night: "p1" if target == "a" and night >= 14 else "p0",
    )
    rows.add(14)
    said = rows.judge(3)
    assert words(said) == ["inconclusive", "regressed", "regressed"]
    assert said[0]["a"].notice


def test_what_all_targets_of_a_machine_do_is_the_machines() -> None:
    rows = Rows(lambda target, night: 12.0 if night >= 20 else 0.0)
    rows.add(22)
    said = rows.judge(1)
    assert {said[-1][target].word for target in "abcd"} == {"node"}
    assert "all of node1 is" in sentence(said[-1]["a"], rows_night(22))


def test_a_smallest_effect_of_the_suite_is_kept() -> None:
    rows = Rows(lambda target, night: 6.0 if target == "a" and night >= 14 else 0.0)
    effects = {name: MinEffect(pct=15.0) for name in Settings().primary}
    rows.add(17)
    said = rows.judge(3, Settings(min_effect=effects))
    assert "regressed" not in words(said)


def test_a_chain_uses_no_later_night_and_lets_a_new_level_begin_where_the_others_are() -> None:
    levels = np.array([[[10.0, 12.0, 11.0, 14.0], [30.0, 32.0, np.nan, np.nan],
                        [np.nan, np.nan, 51.0, 54.0]]])  # fmt: skip
    composite, offsets = chain(levels)
    assert composite[0].tolist() == [20.0, 22.0, 21.0, 24.0]
    assert offsets[0].tolist() == [-10.0, 10.0, 30.0]
    assert chain(levels[:, :, :2])[0][0].tolist() == [20.0, 22.0]


def test_an_era_goes_on_where_a_level_is_added_and_begins_where_one_asks_something_else() -> None:
    eras = Eras()
    nights = [{"c1": "x"}, {"c1": "x", "c5": "y"}, {"c1": "z", "c5": "y"}, {"c5": "y"}]
    assert [eras.of(keys) for keys in nights] == [0, 0, 1, 1]
    assert eras.of({"c1": "x"}) == 0


def slower(rows: Rows) -> Judged:
    """What is said of `a` on the newest night."""
    said = judge_run(rows.ran, rows.values, rows.accepted, again=rows.again, bridges=rows.bridges)
    return next(judged for judged in said if judged.target == "a")


def test_what_was_measured_again_decides_on_the_same_night() -> None:
    rows = Rows(lambda target, night: 9.0 if target == "a" and night >= 20 else 0.0)
    rows.add(21)
    assert slower(rows).word == "inconclusive"
    rows.measure_again("a", "rep", 9.0)
    rows.measure_again("a", "fresh", 9.0, 4)
    assert slower(rows).word == "regressed"


def test_a_repeat_that_is_as_usual_takes_the_place_of_a_bad_value() -> None:
    rows = Rows(lambda target, night: 9.0 if target == "a" and night == 20 else 0.0)
    rows.add(21)
    rows.measure_again("a", "rep", 0.0)
    assert slower(rows).word == "ok"


def test_an_upgrade_is_held_against_boots_of_the_accepted_configuration() -> None:
    rows = Rows(
        lambda target, night: 9.0 if target == "a" and night >= 20 else 0.0,
        targets=("a",),
        provenance=lambda target, night: "p1" if night >= 20 else "p0",
    )
    rows.add(21)
    rows.measure_again("a", "fresh", 9.0, 3)
    rows.measure_again("a", "ref", 0.0, 3)
    assert slower(rows).word == "regressed"


def test_a_live_measurer_is_asked_for_what_is_wanted_and_not_stored() -> None:
    rows = Rows(lambda target, night: 9.0 if target == "a" and night >= 20 else 0.0)
    rows.add(21)
    asked = []

    def live(wanted: Wanted) -> list[list[Again]]:
        asked.append((wanted.target, wanted.kind, wanted.count))
        rows.again.clear()
        rows.measure_again(wanted.target, wanted.kind, 9.0, wanted.count)
        numbers = range(1, wanted.count + 1)
        return [[one for one in rows.again if one.number == number] for number in numbers]

    said = judge_run(rows.ran, rows.values, again=rows.again, live=live)
    assert said[0].word == "regressed"
    assert asked == [("a", "rep", 1), ("a", "fresh", 2), ("a", "fresh", 2)]


def test_a_control_is_asked_for_of_the_newest_accepted_run() -> None:
    """Night 19 ran what is accepted; night 20 is an upgrade that nobody has accepted yet."""
    rows = Rows(
        lambda target, night: 9.0 if night >= 20 else 0.0,
        targets=("a",),
        provenance=lambda target, night: "p1" if night >= 20 else "p0",
    )
    asked: list[Wanted] = []

    def live(wanted: Wanted) -> list[list[Again]]:
        asked.append(wanted)
        return []

    rows.add(21)
    judge_run(rows.ran, rows.values, live=live)
    assert [(one.kind, one.count, one.accepted_run) for one in asked] == [
        ("ref", 2, "run0019"), ("fresh", 4, "run0019"),
    ]  # fmt: skip
    asked.clear()
    rows.add(1)
    judge_run(rows.ran, rows.values, live=live)
    assert {one.accepted_run for one in asked} == {"run0019"}
    rows.accept("a")
    rows.add(1)
    rows.provenance = lambda target, night: "p2"
    rows.slow = lambda target, night: 30.0
    asked.clear()
    rows.add(1)
    judge_run(rows.ran, rows.values, rows.accepted, live=live)
    assert {one.accepted_run for one in asked} == {"run0022"}


def test_what_was_measured_again_is_said_with_what_it_was_held_against() -> None:
    rows = Rows(
        lambda target, night: 9.0 if target == "a" and night >= 20 else 0.0,
        targets=("a",),
        provenance=lambda target, night: "p1" if night >= 20 else "p0",
    )
    rows.add(21)
    rows.measure_again("a", "fresh", 9.0, 3)
    rows.measure_again("a", "ref", 0.0, 3)
    assert sentence(slower(rows), rows_night(20), "vLLM 0.32.0 → 0.33.0").endswith(
        "; vLLM 0.32.0 → 0.33.0; measured again on 3 boots against 3 of the configuration accepted "
        "before: it is the change, not the node"
    )


def test_an_upgrade_that_makes_no_difference_is_accepted_by_itself_once_and_says_so() -> None:
    rows = Rows(noise=0.2, provenance=lambda target, night: "p1" if night >= 20 else "p0")
    rows.add(20)
    said = [night["a"] for night in rows.judge(8)]
    [accepted] = [number for number, judged in enumerate(said) if judged.accepted_itself]
    assert accepted >= 2
    assert sentence(said[accepted], rows_night(20 + accepted)) == (
        "a is as it was; its configuration made no difference on three nights and is accepted by "
        "itself"
    )
    assert {judged.word for judged in said} == {"ok"}


def longer_prompts(target: str, night: int) -> float:
    """From night 20 on other prompts take half as long again; from 24 on it is worse, too."""
    return 0.0 if target != "a" or night < 20 else 50.0 if night < 24 else 68.0


def test_a_night_that_asks_both_ways_is_said_and_the_series_goes_on() -> None:
    rows = Rows(
        longer_prompts, noise=0.4, key=lambda target, night: "new" if night >= 20 else "old"
    )
    rows.add(21)
    rows.bridge("a", "old")
    judged = slower(rows)
    assert (judged.word, judged.bridged, judged.new) == ("method changed", ("chat",), False)
    assert sentence(judged, rows_night(20)) == (
        "a is measured differently: chat has other prompts or settings since tonight; measured "
        "both ways, so its series continues"
    )
    said = rows.judge(6)
    assert words(said[:3]) == ["ok"] * 3
    assert "regressed" in words(said[3:])
    change = said[-1]["a"].change
    assert change is not None
    assert change.size_pct == pytest.approx(12.0, abs=2.5)
    assert change.levels == LEVELS


def test_a_regression_on_the_night_that_asks_both_ways_is_found_by_the_older_one() -> None:
    rows = Rows(
        lambda target, night: 50.0 if target == "a" and night >= 20 else 0.0,
        noise=0.4,
        key=lambda target, night: "new" if night >= 20 else "old",
    )
    rows.add(21)
    rows.bridge("a", "old", pct=12.0)
    said = rows.judge(1)
    judged = said[0]["a"]
    assert judged.word == "regressed"
    assert judged.change is not None
    assert judged.change.size_pct == pytest.approx(12.0, abs=2.5)


def test_without_a_bridge_the_series_starts_anew_and_says_so() -> None:
    rows = Rows(longer_prompts, key=lambda target, night: "new" if night >= 20 else "old")
    rows.add(20)
    judged = rows.judge(1)[0]["a"]
    assert (judged.word, judged.bridged, judged.new) == ("method changed", (), True)
    assert sentence(judged, rows_night(20)) == (
        "a is measured differently: chat has other prompts or settings since tonight, a new series"
    )


def test_a_bridge_to_what_nobody_knows_bridges_nothing() -> None:
    rows = Rows(longer_prompts, key=lambda target, night: "new" if night >= 20 else "old")
    rows.add(21)
    rows.bridge("a", "another")
    assert (slower(rows).word, slower(rows).bridged) == ("method changed", ())

"""The views answer what their names promise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nightbench.history.ingest import land
from nightbench.history.reading import History, open_history
from nightbench.home.paths import Home
from tests.benchmarks.synthetic_nights import Shape, run_id_of, spool_night

SHAPE = Shape(targets=("starter", "other"), samples=40, drop_from=2)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    home = Home(tmp_path_factory.mktemp("home"))
    for night in range(3):
        spool_night(home.spool, night, SHAPE)
    land(home)
    with open_history(home) as opened:
        yield opened


def test_latest_has_the_accuracy_and_each_level_of_the_last_run(history: History) -> None:
    rows = history.sql(
        "SELECT kind, name, subset_or_level, max_concurrency FROM latest WHERE target = 'starter'"
    ).rows
    assert rows == (
        ("accuracy", "starter", "all", 16),
        ("load", "openqa", "c1", 1),
        ("load", "openqa", "c4", 4),
        ("load", "openqa", "c8", 8),
    )
    assert history.sql("SELECT DISTINCT run_id FROM latest").rows == ((run_id_of(2),),)


def test_the_later_run_of_a_night_is_the_latest(tmp_path: Path) -> None:
    import dataclasses
    from datetime import timedelta

    from nightbench.history.spool.writer import Spool, SpoolIdentity
    from tests.benchmarks.synthetic_nights import FIRST_NIGHT, rows_of

    home = Home(tmp_path)
    spool_night(home.spool, 0, SHAPE)
    identity = SpoolIdentity(run_id="again", target="starter", night=FIRST_NIGHT)
    with Spool.open(home.spool, identity) as spool:
        for row in rows_of(0, "starter", SHAPE):
            if hasattr(row, "started_at"):
                row = dataclasses.replace(row, started_at=row.started_at + timedelta(hours=3))  # type: ignore[type-var]  # noqa: PLW2901
            spool.append(row)  # type: ignore[arg-type]
    land(home)
    with open_history(home) as opened:
        found = opened.sql("SELECT DISTINCT target, run_id FROM latest ORDER BY target").rows
    assert found == (("other", run_id_of(0)), ("starter", "again"))


def test_the_leaderboard_puts_the_better_target_first(history: History) -> None:
    rows = history.sql("SELECT place, target, best_output_throughput FROM leaderboard").rows
    assert [row[:2] for row in rows] == [(1, "other"), (2, "starter")]
    assert all(isinstance(row[2], float) for row in rows)


def test_the_trend_shows_the_night_of_the_drop(history: History) -> None:
    values = list(history.query("trend", target="starter", metric="accuracy")["value"])
    assert min(values[:2]) > 0.7
    assert values[2] < 0.6


def test_a_metric_that_is_none_is_refused_by_name(history: History) -> None:
    from nightbench.errors import BadInput

    with pytest.raises(BadInput, match="metric is 'speed': expected one of accuracy, "):
        history.query("trend", target="starter", metric="speed")


def test_flips_name_the_samples_that_changed(history: History) -> None:
    rows = history.sql("SELECT target, flip, previous_run_id, run_id FROM flips").rows
    assert {row[2:] for row in rows} == {(run_id_of(1), run_id_of(2))}
    wrong = [row for row in rows if row[:2] == ("starter", "right to wrong")]
    right = [row for row in rows if row[:2] == ("starter", "wrong to right")]
    assert len(wrong) > len(right)


def test_flips_are_between_runs_that_asked_the_same(tmp_path: Path) -> None:
    import dataclasses

    from nightbench.history.spool.writer import Spool, SpoolIdentity
    from nightbench.records import AccuracyResult
    from tests.benchmarks.synthetic_nights import FIRST_NIGHT, rows_of

    home = Home(tmp_path)
    for night in (0, 1, 2):
        identity = SpoolIdentity(run_id=f"r{night}", target="starter", night=FIRST_NIGHT)
        with Spool.open(home.spool, identity) as spool:
            for row in rows_of(night, "starter", SHAPE):
                if isinstance(row, AccuracyResult) and night == 1:
                    row = dataclasses.replace(row, measurement_key="asked otherwise")  # noqa: PLW2901
                spool.append(row)  # type: ignore[arg-type]
    land(home)
    with open_history(home) as opened:
        pairs = opened.sql("SELECT DISTINCT previous_run_id, run_id FROM flips").rows
    assert pairs == (("r0", "r2"),)


def test_capacity_is_the_highest_level_within_the_limits(history: History) -> None:
    rows = history.sql("SELECT DISTINCT capacity_max_concurrency FROM capacity").rows
    assert rows == ((8,),)
    tight = history.query("capacity", ttft_p95_ms=50, target="other")
    assert set(tight["capacity_max_concurrency"]) == {1}


def test_comparing_two_runs_says_whether_they_may_be_compared(history: History) -> None:
    frame = history.query("compare", a=run_id_of(1), b=run_id_of(2), target="starter")
    assert bool(frame["same_question"].all())
    throughput = frame[frame["metric"] == "output_throughput"]
    assert (throughput["relative_change"] < -0.15).all()


def test_boot_times_have_their_phases(history: History) -> None:
    rows = history.sql("SELECT boot_s, boot_weights_s FROM boot_times WHERE target = 'other'").rows
    assert rows == ((35.0, 5.0),) * 3


def test_energy_is_the_power_of_all_gpus_over_the_tokens(history: History) -> None:
    row = history.query("energy", run_id=run_id_of(1), target="starter").iloc[0]
    assert (row["num_gpus"], row["mean_power_w"]) == (2, 600.0)
    assert row["energy_wh"] == pytest.approx(600 * 20 / 3600)
    assert row["energy_wh_per_million_tokens"] == pytest.approx(600 * 20 / 3600 / 400 * 1e6)


def test_what_changed_in_provenance_is_named_with_its_night(history: History) -> None:
    frame = history.query("provenance_changes", target="starter")
    assert frame[["run_id", "name", "previous_value", "value"]].values.tolist() == [
        [run_id_of(2), "driver_version", "550", "570"]
    ]
    assert history.query("provenance_changes", target="other").empty

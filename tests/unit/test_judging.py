"""A run of a real history is judged, the verdicts land, and people can say what they make of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from nightbench.cli.main import main
from nightbench.errors import BadInput
from nightbench.history.duckdb_files.rebuilding import rebuild
from nightbench.history.ingest import land
from nightbench.history.reading import History, open_history
from nightbench.history.run_results import read_run
from nightbench.history.spool.writer import Spool, SpoolIdentity
from nightbench.home.paths import Home
from nightbench.night.annotating import Remark, accept, refuse, say_of_event
from nightbench.night.judging import judge, keep, read_accepted, read_ran, read_values
from nightbench.night.screening import level_values, ran_tonight, screen
from nightbench.records import (
    AnnotationRow,
    LoadInterval,
    LoadLevel,
    ProvenanceRow,
    TargetRow,
    VerdictRow,
)
from nightbench.verdicts.measured import Again, RanTarget, Settings
from nightbench.verdicts.measured_now import Wanted
from tests.benchmarks.synthetic_nights import (
    Shape,
    began,
    rows_of,
    run_id_of,
    run_row,
    spool_night,
    target_row,
)

SHAPE = Shape(targets=("starter", "other", "third"), requests=1, samples=1, telemetry=0)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def judge_night(home: Home, night: int) -> list[VerdictRow]:
    """Judge and land, as the end of a night does."""
    with open_history(home) as history:
        keep(history, home.spool, run_id_of(night), judge(history, run_id_of(night)))
    assert land(home).findings == []
    with open_history(home) as history:
        return list(read_run(history, run_id_of(night)).verdicts)


def speed_of(rows: list[VerdictRow], target: str = "starter") -> VerdictRow:
    """The verdict on a target's load."""
    return next(row for row in rows if row.target == target and row.metric != "accuracy")


def measure(home: Home, nights: range, shape: Shape = SHAPE) -> None:
    for night in nights:
        spool_night(home.spool, night, shape)
    land(home)


def timeless(rows: list[VerdictRow]) -> list[VerdictRow]:
    return [replace(row, judged_at=row.judged_at.min) for row in rows]


def test_a_night_that_became_slower_has_an_open_event_with_what_changed(home: Home) -> None:
    measure(home, range(8), replace(SHAPE, drop_from=6))
    assert {row.verdict for row in judge_night(home, 5) if row.metric != "accuracy"} == {"ok"}
    first = speed_of(judge_night(home, 6))
    assert (first.target, first.verdict, first.notice) == ("starter", "inconclusive", True)
    row = speed_of(judge_night(home, 7))
    assert (row.verdict, row.event) == ("regressed", "starter-20260107")
    assert row.detail is not None
    assert row.detail.startswith("starter regressed: ")
    assert row.detail.endswith("since 2026-01-07, and 2 more series with it; driver 550 → 570")
    with open_history(home) as history:
        events = history.sql("SELECT event, kind, target, changed, is_quiet FROM open_events").rows
    assert events == (("starter-20260107", "regressed", "starter", "driver 550 → 570", False),)


def test_a_night_judged_again_gives_the_same_rows_and_lands_nothing_new(home: Home) -> None:
    measure(home, range(7), replace(SHAPE, drop_from=5))
    first = judge_night(home, 6)
    with open_history(home) as history:
        again = judge(history, run_id_of(6))
        assert timeless(again.rows) == timeless(first)
        assert keep(history, home.spool, run_id_of(6), again) is None
        rows = [replace(again.rows[0], verdict="recovered"), *again.rows[1:]]
        other = replace(again, rows=rows)
        assert keep(history, home.spool, run_id_of(6), other) is not None
    measure(home, range(7, 8), SHAPE)
    with open_history(home) as history:
        assert timeless(judge(history, run_id_of(6)).rows) == timeless(first)


def test_what_is_accepted_by_itself_is_kept_once_with_its_reason_and_starts_no_epoch(
    home: Home,
) -> None:
    measure(home, range(3))
    remark = AnnotationRow(
        target="starter", kind="accepted by itself", reason="no difference", made_at=began(2)
    )
    for word in ("ok", "inconclusive"):
        with open_history(home) as history:
            judged = judge(history, run_id_of(2))
            rows = [replace(judged.rows[0], verdict=word), *judged.rows[1:]]
            judged = replace(judged, rows=rows, remarks=[remark])
            assert keep(history, home.spool, run_id_of(2), judged) is not None
        assert land(home).findings == []
    with open_history(home) as history:
        assert history.sql("SELECT target, kind, reason FROM annotations").rows == (
            ("starter", "accepted by itself", "no difference"),
        )
        assert read_accepted(history) == []


def test_verdicts_are_kept_by_a_rebuild(home: Home) -> None:
    measure(home, range(7), replace(SHAPE, drop_from=5))
    rows = judge_night(home, 6)
    rebuild(home)
    with open_history(home) as history:
        assert list(read_run(history, run_id_of(6)).verdicts) == rows
        assert len(history.sql("FROM open_events").rows) == 1


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def test_a_person_sees_accepts_and_is_left_in_peace(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NIGHTBENCH_HOME", str(home.root))
    monkeypatch.setenv("LOGNAME", "ada")
    measure(home, range(7), replace(SHAPE, drop_from=5))
    assert "starter regressed" in told(capsys, "judge", "latest")
    assert "nothing new" in told(capsys, "judge", "latest")
    assert "✗ starter regressed" in told(capsys, "verdicts").splitlines()[1]
    event = "starter-20260106"
    assert told(capsys, "events").startswith(f"{event}  starter regressed")
    told(
        capsys, "acknowledge", event, "--owner", "ada", "--ticket", "OPS-1", "--until", "2199-01-01"
    )
    assert "acknowledged by ada (OPS-1), silenced until 2199-01-01" in told(capsys, "events")
    told(capsys, "annotate", "--event", event, "--reason", "the driver, it seems")
    told(capsys, "accept", event, "--reason", "the new driver stays")
    assert told(capsys, "events") == "no open events\n"
    with open_history(home) as history:
        said = history.sql("SELECT kind, event, author, reason FROM annotations ORDER BY made_at")
        assert said.rows == (
            ("acknowledged", event, "ada", "(none given)"),
            ("note", event, "ada", "the driver, it seems"),
            ("accepted", event, "ada", "the new driver stays"),
        )


def test_after_an_acceptance_the_next_night_is_held_against_the_new_level(home: Home) -> None:
    measure(home, range(7), replace(SHAPE, drop_from=5))
    judge_night(home, 6)
    remark = Remark(kind="accepted", reason="the new driver stays", author="ada")
    accept(home, "starter", remark, now=lambda: began(6) + timedelta(hours=5))
    measure(home, range(7, 10), replace(SHAPE, drop_from=5))
    for night in (7, 8, 9):
        row = speed_of(judge_night(home, night))
        assert (row.target, row.event) == ("starter", None)
        assert row.verdict in ("ok", "inconclusive")
    assert row.verdict == "ok"


def test_what_is_refused_stays_open_with_its_reason(home: Home) -> None:
    measure(home, range(7), replace(SHAPE, drop_from=5))
    judge_night(home, 6)
    remark = Remark(kind="refused", reason="the driver goes back", author="ada")
    assert [row.event for row in refuse(home, "starter", remark)] == ["starter-20260106"]
    with open_history(home) as history:
        assert [row[0] for row in history.sql("SELECT event FROM open_events").rows] == [
            "starter-20260106"
        ]
        said = history.sql("SELECT kind, reason, author FROM annotations").rows
    assert said == (("refused", "the driver goes back", "ada"),)
    with pytest.raises(BadInput, match="nothing is open of 'other'"):
        refuse(home, "other", remark)


def test_nobody_accepts_or_acknowledges_what_is_not_there(home: Home) -> None:
    measure(home, range(1))
    remark = Remark(kind="accepted", reason="r", author="ada")
    with pytest.raises(BadInput, match="no open event and no target is called 'startr'") as refused:
        accept(home, "startr", remark)
    assert "other, starter, third" in refused.value.hint
    with pytest.raises(BadInput, match="no event 'starter' is open"):
        say_of_event(home, "starter", remark)


def test_a_target_that_failed_and_one_that_was_never_begun_are_said_not_to_be_measured(
    home: Home,
) -> None:
    measure(home, range(4))
    identity = SpoolIdentity(run_id=run_id_of(4), target="starter", night=began(4).date())
    with Spool.open(home.spool, identity) as spool:
        row = target_row(4, "starter", status="failed", ended_at=None)
        spool.append(replace(row, error="exited before it was ready"))
    identity = replace(identity, target="_run")
    with Spool.open(home.spool, identity) as spool:
        spool.append(run_row(4, SHAPE, status="failed", ended_at=None))
        spool.append(ProvenanceRow(name="targets", value='["starter", "other"]'))
    land(home)
    rows = {row.target: row for row in judge_night(home, 4)}
    assert {name: row.verdict for name, row in rows.items()} == {
        "starter": "not measured",
        "other": "not measured",
    }
    assert rows["starter"].detail == "starter was not measured (exited before it was ready)"
    assert rows["other"].detail == "other was not measured (it was not started)"


def test_a_benchmark_that_fell_is_an_event_of_its_own_and_can_be_accepted(home: Home) -> None:
    shape = Shape(samples=120, requests=1, telemetry=0, levels=(1,), drop_from=6)
    measure(home, range(8), shape)
    row = judge_night(home, 6)[-1]
    assert (row.metric, row.verdict, row.event) == (
        "accuracy", "regressed", "starter-starter-20260107",
    )  # fmt: skip
    assert row.size_pct is not None
    assert row.size_pct > 15
    row = judge_night(home, 7)[-1]
    assert (row.verdict, row.since) == ("regressed", began(6).date())
    remark = Remark(kind="accepted", reason="a smaller model", author="ada")
    accepted = accept(home, "starter-starter-20260107", remark, now=lambda: began(7))
    assert [(one.name, one.metric) for one in accepted] == [("starter", "accuracy")]
    with open_history(home) as history:
        assert "accuracy" not in {r[0] for r in history.sql("SELECT metric FROM open_events").rows}
    measure(home, range(8, 9), shape)
    assert judge_night(home, 8)[-1].event_kind is None


def newest(history: History, target: str, night: int) -> RanTarget:
    """The target in the run of that night."""
    ran = read_ran(history, run_id_of(night))
    return next(row for row in ran if (row.target, row.run_id) == (target, run_id_of(night)))


def test_a_target_that_has_not_landed_is_screened_as_the_same_target_would_be_once_it_has(
    home: Home,
) -> None:
    """The digest of its provenance, its node and its values are those that the history has."""
    measure(home, range(3))
    with open_history(home) as history:
        landed = newest(history, "starter", 2)
        landed_values = read_values(history, run_id_of(2), Settings(), first=run_id_of(2))
    rows = list(rows_of(2, "starter", SHAPE))
    tonight = ran_tonight(
        run_id=run_id_of(2),
        began=began(2),
        night_of=began(2).date(),
        name="starter",
        hardware_class="cpu x 2",
        row=next(row for row in rows if isinstance(row, TargetRow)),
        facts=[
            *(row for row in rows if isinstance(row, ProvenanceRow)),
            ProvenanceRow(name="host", value="node1"),
        ],
    )
    assert replace(tonight, node=landed.node) == landed
    levels = [row for row in rows if isinstance(row, LoadLevel | LoadInterval)]
    values = level_values(run_id_of(2), "starter", levels, Settings().metrics)
    of_starter = [value for value in landed_values if value.target == "starter"]
    by_place = {(value.level, value.metric): value for value in of_starter}
    for value in values:
        kept = by_place[value.level, value.metric]
        assert replace(value, se=None) == replace(kept, se=None)
        assert (value.se or 0.0) == pytest.approx(kept.se or 0.0, rel=1e-3)


def test_a_screened_target_asks_for_more_only_where_it_looks_slow(home: Home) -> None:
    measure(home, range(6))
    asked: list[str] = []

    def live(wanted: Wanted) -> list[list[Again]]:
        asked.append(wanted.kind)
        return []

    for slowness, wanted in ((1.0, []), (0.6, ["rep", "fresh"])):
        asked.clear()
        with open_history(home) as history:
            before = read_values(history, run_id_of(5), Settings(), first=run_id_of(5))
            last = newest(history, "starter", 5)
            tonight = replace(last, run_id="tonight", began=last.began + timedelta(days=1))
            values = [
                replace(v, run_id="tonight", value=(v.value or 0.0) * slowness)
                for v in before
                if v.target == "starter" and v.metric == "output_throughput"
            ]
            settings = Settings(primary=("output_throughput",))
            screen(history, tonight, values, settings, again=[], live=live)
        assert asked == wanted


def test_a_first_night_is_not_screened(home: Home) -> None:
    measure(home, range(1), replace(SHAPE, targets=("other",)))
    with open_history(home) as history:
        last = read_ran(history, run_id_of(0))[0]
        new = replace(last, target="new", run_id="tonight")
        assert screen(history, new, [], Settings(), again=[], live=lambda *_: []) is None


def test_a_run_that_never_began_a_target_is_said_to_have_measured_none(home: Home) -> None:
    measure(home, range(1))
    identity = SpoolIdentity(run_id=run_id_of(1), target="_run", night=began(1).date())
    with Spool.open(home.spool, identity) as spool:
        spool.append(run_row(1, SHAPE, status="failed", ended_at=None))
        spool.append(ProvenanceRow(name="targets", value='["starter"]'))
    land(home)
    rows = judge_night(home, 1)
    assert [(row.target, row.verdict) for row in rows] == [("starter", "not measured")]

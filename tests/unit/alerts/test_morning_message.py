"""What the morning's message says."""

from __future__ import annotations

from dataclasses import replace

from nightbench.alerts.message import MAX_BODY_CHARS, morning_message, trouble_message
from nightbench.dashboards.run_page import Pointer
from nightbench.history.run_results import Skipped
from tests.benchmarks.synthetic_nights import verdict_row
from tests.unit.dashboards.a_run import RUN_ID, level, run, target

FAILED = target("bad", status="failed", error="exited before it was ready\n  | no such knob")
SKIPPED = target("late", status="skipped")
OVER = "the night's 5 h are over"


def test_a_good_night_is_one_line_and_its_numbers() -> None:
    message = morning_message(run(target("a")), pointers=[Pointer("The run", url="http://h/r")])
    assert message.subject == "✅ starter on node1: 1 measured"
    assert "• a: starter" in message.body
    assert "tokens/s at c" in message.body
    assert "Started 2026-01-01 00:00 UTC, took 1 h 12 min" in message.body
    assert RUN_ID in message.body
    assert "The run: http://h/r" in message.body
    assert "Failed" not in message.body
    assert "Skipped" not in message.body
    assert "Regressed" not in message.body


def test_what_failed_and_what_was_skipped_comes_before_what_went_well() -> None:
    night = run(target("a"), FAILED, SKIPPED, status="failed")
    left_out = Skipped(target="late", stage=None, reason=OVER)
    message = morning_message(replace(night, skipped=(left_out,)))
    assert message.subject == "❌ starter on node1: 1 measured, 1 failed, 1 skipped"
    assert "• bad: exited before it was ready\n" in message.body
    assert "• late was skipped: the night's 5 h are over" in message.body
    headings = ["Failed", "Skipped", "Measured"]
    assert sorted(headings, key=message.body.index) == headings


def test_a_stage_that_was_left_out_makes_a_night_doubtful() -> None:
    left_out = Skipped(target="a", stage="load chat", reason=OVER)
    message = morning_message(replace(run(target("a")), skipped=(left_out,)))
    assert message.subject == "⚠️ starter on node1: 1 measured, 1 skipped"
    assert "• a: load chat was skipped: the night's 5 h are over" in message.body


def test_a_target_that_was_skipped_without_a_reason_is_told_all_the_same() -> None:
    assert "• late was skipped" in morning_message(run(target("a"), SKIPPED)).body


def test_a_regression_stands_first() -> None:
    night = replace(run(target("a"), FAILED), verdicts=(verdict_row(0, "a"),))
    message = morning_message(night)
    assert message.subject.startswith("❌")
    assert "1 regressed" in message.subject
    assert message.body.startswith("Regressed\n• 10 % below the last 14 nights\n\nFailed")


def test_an_event_that_somebody_has_taken_on_is_told_and_is_no_news() -> None:
    night = replace(run(target("a")), verdicts=(verdict_row(0, "a"),))
    message = morning_message(night, quiet={"a-20260101"})
    assert message.subject == "✅ starter on node1: 1 measured"
    assert "Verdicts\n• 10 % below the last 14 nights (acknowledged)" in message.body


def test_what_could_not_be_told_makes_a_night_doubtful() -> None:
    lost = replace(verdict_row(0, "a"), verdict="starved", event_kind=None, detail="a: starved")
    message = morning_message(replace(run(target("a")), verdicts=(lost,)))
    assert message.subject.startswith("⚠️")
    assert "Verdicts\n• a: starved" in message.body


def test_a_level_that_is_not_valid_makes_a_night_doubtful() -> None:
    levels = (level(1), level(4, valid=False, invalid_reasons=["client_lag"]))
    message = morning_message(run(replace(target("a"), levels=levels)))
    assert message.subject.startswith("⚠️")
    assert "not all valid: client_lag" in message.body


def test_a_run_that_was_cancelled_between_targets_is_not_called_good() -> None:
    message = morning_message(run(target("a"), status="cancelled"))
    assert message.subject == "❌ starter on node1: 1 measured, the run cancelled"


def test_a_message_is_short_whatever_servers_said() -> None:
    loud = [target(f"t{n}", status="failed", error="x" * 100_000) for n in range(100)]
    message = morning_message(run(*loud, status="failed"))
    assert len(message.body) <= MAX_BODY_CHARS


def test_control_characters_of_others_do_not_get_out() -> None:
    message = morning_message(run(target("a", status="failed", error="\x1b[31mred\u202e")))
    assert "\x1b" not in message.body
    assert "\u202e" not in message.body


def test_a_night_without_results_says_why() -> None:
    message = trouble_message("glm", "glm.yaml is not a valid suite:\n  targets: wanted\n")
    assert message.subject == "❌ glm: the night ended without results"
    assert message.body == "glm.yaml is not a valid suite:\ntargets: wanted"


def test_no_link_of_others_hides_behind_another_text() -> None:
    said = "[your report](https://evil.example)"
    message = morning_message(run(target(status="failed", error=said)))
    assert "](" not in message.body
    assert "](" not in trouble_message("starter", said).body

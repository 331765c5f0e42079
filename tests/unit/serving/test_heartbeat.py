"""What moves is alive; what stands still is asked, or hung."""

from __future__ import annotations

from nightbench.engines.observed import Counters
from nightbench.serving.supervise.heartbeat import HangLimits, Heartbeat
from nightbench.suite.models import Target

PATIENCE = HangLimits(hung_after_s=45, quiet_for_s=10, answer_within_s=30, times_if_computing=10)
IDLE = Counters(signature=1)
BUSY = Counters(signature=1, requests_running=3)


def beating(now_s: float = 0) -> Heartbeat:
    heartbeat = Heartbeat(now_s, PATIENCE)
    assert heartbeat.saw(now_s, IDLE) == "alive"
    return heartbeat


def test_counters_that_move_are_life_however_long_it_takes() -> None:
    heartbeat = beating()
    for second in range(1, 300):
        assert heartbeat.saw(second, Counters(signature=second, requests_running=1)) == "alive"


def test_requests_in_flight_without_a_step_are_a_hang() -> None:
    heartbeat = beating()
    assert heartbeat.saw(44, BUSY) == "alive"
    assert heartbeat.saw(45, BUSY) == "hung"


def test_a_cpu_that_computes_is_given_longer_and_not_for_ever() -> None:
    heartbeat = beating()
    assert heartbeat.saw(449, BUSY, computing=True) == "alive"
    assert heartbeat.saw(450, BUSY, computing=True) == "hung"


def test_an_idle_server_is_asked_and_its_answer_is_life() -> None:
    heartbeat = beating()
    assert heartbeat.saw(9, IDLE) == "alive"
    assert heartbeat.saw(10, IDLE) == "ask"
    assert heartbeat.answered(11, ok=True) == "alive"
    assert heartbeat.saw(20, IDLE) == "alive"


def test_a_server_that_does_not_answer_when_asked_is_hung() -> None:
    heartbeat = beating()
    assert heartbeat.saw(10, IDLE) == "ask"
    assert heartbeat.answered(40, ok=False) == "hung"


def test_a_server_whose_counters_cannot_be_read_is_given_the_same_time() -> None:
    heartbeat = beating()
    assert heartbeat.saw(44, None) == "alive"
    assert heartbeat.saw(45, None) == "hung"


def test_stopping_is_found_in_under_a_minute_whatever_it_was_doing() -> None:
    target = Target.model_validate(
        {"name": "t", "engine": {"kind": "command", "argv": ["serve", "{port}"]}}
    )
    shipped = HangLimits.of(target.hang_timeout_s)
    assert shipped.hung_after_s < 60
    assert shipped.quiet_for_s + shipped.answer_within_s < 60


def test_a_suite_may_give_more_time() -> None:
    assert HangLimits.of(90) == HangLimits(hung_after_s=90, quiet_for_s=30, answer_within_s=60)

"""Progress on a run's page: seldom written, never in the way, forgotten where Prefect is away."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from nightbench.progress import Progress
from tasks.live_progress import LiveProgress, Shown
from tasks.reporting import Reporter, artifact_key, log_line

LONG_S = 60.0


class Written:
    """A Prefect that keeps what it is told; it may be slow, or away."""

    def __init__(self) -> None:
        self.shown: list[Shown] = []
        self.arrived = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.error: Exception | None = None

    def __call__(self, shown: Shown) -> None:
        self.arrived.set()
        assert self.may_answer.wait(10)
        if self.error:
            raise self.error
        self.shown.append(shown)


def at(percent: float, key: str = "load") -> Shown:
    return Shown(key, percent, f"{percent:g} %")


def test_the_first_state_is_written_at_once_and_the_last_in_the_end() -> None:
    written = Written()
    live = LiveProgress(written, interval_s=LONG_S)
    live.show(at(0))
    assert written.arrived.wait(5)
    for percent in range(1, 101):
        live.show(at(percent))
    live.close(timeout_s=5)
    assert [shown.percent for shown in written.shown] == [0, 100]


def test_an_interrupt_before_its_thread_has_begun_stays_the_interrupt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(thread: threading.Thread) -> None:
        raise KeyboardInterrupt

    live = LiveProgress(Written(), interval_s=LONG_S)
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        live.show(at(0))
    live.close()


def test_two_things_under_way_are_both_written() -> None:
    written = Written()
    live = LiveProgress(written, interval_s=LONG_S)
    live.show(at(0))
    assert written.arrived.wait(5)
    live.show(at(50, "boot"))
    live.show(at(60, "load"))
    live.close(timeout_s=5)
    assert {(shown.key, shown.percent) for shown in written.shown[1:]} == {
        ("boot", 50),
        ("load", 60),
    }


def test_a_prefect_that_does_not_answer_holds_nobody_up() -> None:
    written = Written()
    written.may_answer.clear()
    live = LiveProgress(written, interval_s=0)
    began = time.monotonic()
    for percent in range(1000):
        live.show(at(percent))
    live.close(timeout_s=0.1)
    assert time.monotonic() - began < 1.0
    written.may_answer.set()


def test_a_prefect_that_is_away_is_not_asked_again_and_nobody_hears_of_it() -> None:
    written = Written()
    written.error = ConnectionError("gone")
    live = LiveProgress(written, interval_s=0)
    live.show(at(1))
    assert written.arrived.wait(5)
    live.close(timeout_s=5)
    live.show(at(2))
    assert written.shown == []


def test_closing_what_never_began_is_nothing() -> None:
    LiveProgress(Written()).close()


class Page:
    """What would be on the run's page."""

    def __init__(self) -> None:
        self.shown: dict[str, Shown] = {}

    def show(self, shown: Shown) -> None:
        self.shown[shown.key] = shown


def test_counted_steps_and_time_used_become_percents_and_what_is_done_is_whole() -> None:
    now = [0.0]
    page = Page()
    report = Reporter(page, limit_s=300, clock=lambda: now[0])
    report(Progress("requests", "chat c4", "", 2, 8))
    now[0] = 30.0
    report(Progress("boot", "smollm2", "loading weights (30 s)"))
    report(Progress("teardown", "smollm2", "stopping"))
    assert {key: shown.percent for key, shown in page.shown.items()} == {
        "load-chat-c4": 25,
        "boot-smollm2": 10,
    }
    report.finish()
    assert [(shown.percent, shown.text) for shown in page.shown.values()] == [
        (100, "load chat c4: done"),
        (100, "boot smollm2: done"),
    ]


def test_a_subject_on_the_page_is_text() -> None:
    page = Page()
    Reporter(page)(Progress("samples", "<b>![x](y)", "", 1, 2))
    [shown] = page.shown.values()
    assert "<b>" not in shown.text
    assert "![x]" not in shown.text


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (Progress("boot", "m", "loading weights (12 s)"), "boot m: loading weights"),
        (
            Progress("samples", "iq", "80% correct so far", 5, 20),
            "accuracy iq: 5 of 20, 80% correct so far",
        ),
        (Progress("samples", "iq", "", 6, 20), ""),
        (Progress("requests", "chat c1", "", 8, 8), "load chat c1: 8 of 8"),
        (Progress("requests", "chat c1", "warm-up", 0, 8), ""),
        (Progress("land", "x", "", 0, 0), "land x"),
    ],
)
def test_the_log_has_what_is_new_and_each_quarter_of_what_is_counted(
    progress: Progress, line: str
) -> None:
    assert log_line(progress) == line


def test_a_key_is_what_prefect_takes() -> None:
    assert artifact_key("curves", "GLM-4.5 Air/tp4") == "curves-glm-4-5-air-tp4"
    assert artifact_key("一") == "progress"


def test_a_task_that_went_well_leaves_no_line_that_says_nothing() -> None:
    logger = logging.getLogger("prefect.task_runs")
    kept = [
        said
        for said in ("Finished in state Completed()", "Finished in state Failed('no such knob')")
        if logger.filter(logger.makeRecord(logger.name, logging.INFO, "", 0, said, (), None))
    ]
    assert kept == ["Finished in state Failed('no such knob')"]

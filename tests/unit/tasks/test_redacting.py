"""What Prefect is handed holds no secret: no message of a state, no line of a log, no artifact."""

from __future__ import annotations

import logging
import sys

import pytest

from nightbench.errors import EndpointError, NightbenchError
from nightbench.progress import Progress
from nightbench.suite.models import Suite
from tasks.live_progress import LiveProgress, Shown
from tasks.redacting import kept_secret, known, step
from tasks.reporting import Reporter, shown_by

KEY = "sk-Canary9fQ2xZ7mLp4vT8"
LOGIN = "Basic bWU6aW4tdGhlLXN1aXRl"  # me:in-the-suite
SUITE = Suite.model_validate(
    {
        "name": "s",
        "targets": [
            {
                "name": "far",
                "engine": {
                    "kind": "remote",
                    "base_url": "http://h/v1",
                    "api_key_env": "LLM_LOGIN",
                    "headers": {
                        "X-Token": "${WORD}",
                        "Authorization": "Basic bWU6aW4tdGhlLXN1aXRl",
                    },
                },
            },
            {
                "name": "ours",
                "engine": {"kind": "command", "argv": ["{port}"], "env": {"UP_KEY": "up-7Q7Q7Q7Q"}},
            },
        ],
        "accuracy": [{"benchmark": "starter"}],
    }
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_LOGIN", KEY)
    monkeypatch.setenv("WORD", "gate-7Q7Q7Q7Q")
    monkeypatch.setenv("OTHER_API_KEY", "other-7Q7Q7Q7Q")


def test_a_suite_adds_to_what_is_secret_in_its_context_only() -> None:
    text = f"{KEY} gate-7Q7Q7Q7Q in-the-suite up-7Q7Q7Q7Q other-7Q7Q7Q7Q"
    with kept_secret(SUITE):
        assert known()(text) == "*** *** *** *** ***"
    assert known()(text) == text.replace("other-7Q7Q7Q7Q", "***")


@step(name="fails", task_run_name="fails")
def fails() -> None:
    try:
        raise ValueError(f"a server said {KEY}")
    except ValueError as error:
        raise EndpointError(f"no: {KEY}") from error


def test_what_a_task_raises_is_clean_before_prefect_has_it() -> None:
    with kept_secret(SUITE), pytest.raises(EndpointError) as caught:
        fails.fn()
    assert str(caught.value) == "no: ***"
    assert str(caught.value.__cause__) == "a server said ***"
    assert fails.name == "fails"


def test_what_a_flow_raises_is_clean_when_it_leaves() -> None:
    with pytest.raises(NightbenchError, match=r"flow: \*\*\*"), kept_secret(SUITE):
        raise NightbenchError(f"flow: {KEY}")


@pytest.mark.parametrize("name", ["prefect.flow_runs", "prefect.task_runs"])
def test_a_line_of_a_log_holds_no_secret_and_is_text(name: str) -> None:
    logger = logging.getLogger(name)
    with kept_secret(SUITE):
        try:
            raise ValueError(KEY)
        except ValueError:
            info = sys.exc_info()
        record = logger.makeRecord(name, logging.INFO, "", 0, "%s said\x1b", (KEY,), info)
        assert logger.filter(record)
    told = logging.Formatter().format(record)
    assert KEY not in told
    assert told.startswith("*** said\ufffd\nTraceback")
    assert "ValueError: ***" in told


def test_progress_holds_no_secret_wherever_it_is_shown() -> None:
    written: list[Shown] = []
    heard: list[Progress] = []
    with kept_secret(SUITE), shown_by(heard.append):
        live = LiveProgress(written.append)
        Reporter(live)(Progress("model", f"m-{KEY}", f"pulling {KEY}", 1, 2))
        live.close(timeout_s=10)
    assert KEY not in str(written) + str(heard)
    assert heard[0].detail == "pulling ***"

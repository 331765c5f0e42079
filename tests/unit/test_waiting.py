"""A night waits for no other node without an end, and measures the suite it began with."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import yaml
from prefect.states import Cancelled, Completed, Pending, Running, State

from nightbench.errors import BadInput
from nightbench.night.run import Night, choose_targets, run_facts
from nightbench.night.waiting import Waiting, next_step
from nightbench.suite.file import read_suite
from nightbench.suite.models import Suite
from nightbench.suite.secret_sources import redactor_of_suite, shown_text
from tasks import dispatching, starting
from tasks.dispatching import Dispatch

BEGAN = datetime(2026, 11, 21, 2, tzinfo=UTC)
SUITE = """
name: s
targets:
  - {name: a, engine: {kind: remote, base_url: "http://127.0.0.1:1/v1"}}
accuracy: [{benchmark: starter}]
"""


def minutes(number: float) -> datetime:
    return BEGAN + timedelta(minutes=number)


@pytest.mark.parametrize(
    ("at", "ends", "has_begun", "nobody", "step"),
    [
        (10, None, False, None, "wait"),
        (10, None, False, 0, "wait"),
        (16, None, False, 0, "call off"),
        (16, None, True, 0, "wait"),  # a worker that died leaves what it began alone
        (600, None, False, None, "wait"),  # a queue behind a worker that is there
        (24 * 60 + 1, None, True, None, "call off"),
        (69, 60, True, None, "wait"),
        (71, 60, True, None, "call off"),
    ],
)
def test_what_nobody_begins_or_what_overstays_is_called_off(
    at: float, ends: float | None, has_begun: bool, nobody: float | None, step: str
) -> None:
    waiting = Waiting(dispatched_at=BEGAN, ends_at=None if ends is None else minutes(ends))
    since = None if nobody is None else minutes(nobody)
    assert next_step(waiting, minutes(at), has_begun=has_begun, nobody_since=since)[0] == step


def test_what_was_called_off_and_does_not_end_is_given_up() -> None:
    waiting = Waiting(dispatched_at=BEGAN, ends_at=None, called_off_at=minutes(20), why="so it was")
    steps = [
        next_step(waiting, minutes(at), has_begun=True, nobody_since=None) for at in (24, 25.1)
    ]
    assert steps == [("wait", ""), ("give up", "so it was")]


def night_of(tmp_path: Path) -> Night:
    file = tmp_path / "s.yaml"
    file.write_text(SUITE)
    suite_file = read_suite(file)
    return Night(
        run_id="20261121T020000Z-s-abcdef",
        started_at=BEGAN,
        suite_file=suite_file,
        targets=choose_targets(suite_file, None),
    )


class _Prefect:
    """What of Prefect's client is asked; a flow run that nobody takes, or that never ends."""

    def __init__(self, state: State[Any], *, begun: bool, has_worker: bool, obeys: bool) -> None:
        self.state, self._begun, self._obeys = state, begun, obeys
        self._status = dispatching.WorkPoolStatus.READY if has_worker else "NOT_READY"

    def __enter__(self) -> _Prefect:
        return self

    def __exit__(self, *_: object) -> None: ...

    def read_flow_run(self, _: UUID) -> Any:
        start = BEGAN if self._begun else None
        return type("Run", (), {"state": self.state, "start_time": start, "work_pool_name": "p"})

    def read_work_pool(self, _: str) -> Any:
        return type("Pool", (), {"status": self._status})

    def set_flow_run_state(self, _: UUID, state: State[Any]) -> None:
        self.state = Cancelled() if self._obeys else state


@pytest.mark.parametrize(
    ("prefect", "within"),
    [
        (_Prefect(Pending(), begun=False, has_worker=False, obeys=True), 20),
        (_Prefect(Pending(), begun=False, has_worker=False, obeys=False), 25),
        (_Prefect(Running(), begun=True, has_worker=False, obeys=False), 24 * 60 + 10),
    ],
)
def test_the_night_goes_on_without_a_target_whose_worker_is_gone(
    prefect: _Prefect, within: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatching, "get_client", lambda **_: prefect)
    clock = [BEGAN]

    def sleep(_: float) -> None:
        clock[0] += timedelta(minutes=1)
        assert clock[0] <= minutes(within), "it waits for ever"

    out = Dispatch((), {"a": uuid4()}, night_of(tmp_path), now=lambda: clock[0], sleep=sleep)
    monkeypatch.setattr(dispatching, "get_run_logger", _Silent)
    ((target, state),) = out.waited_for()
    assert (target.name, state.is_failed()) == ("a", True)


class _Silent:
    def warning(self, *_: object) -> None: ...


def test_a_target_that_ends_well_is_as_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefect = _Prefect(Completed(), begun=True, has_worker=True, obeys=True)
    monkeypatch.setattr(dispatching, "get_client", lambda **_: prefect)
    ((_, state),) = Dispatch((), {"a": uuid4()}, night_of(tmp_path)).waited_for()
    assert state.is_completed()


def test_a_file_that_is_edited_while_a_run_goes_on_changes_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = night_of(tmp_path)
    path = night.suite_file.path
    monkeypatch.setitem(starting._begun, night.run_id, night)
    path.write_text(SUITE + "description: edited\n")
    part = starting.begin_night.fn(str(path), ["a"], run_id=night.run_id)
    assert part.suite_file is night.suite_file
    assert starting.suite_of_run(str(path), "another-run", "").suite.description == "edited"


def test_a_suite_that_a_command_has_read_is_not_read_again(tmp_path: Path) -> None:
    night = night_of(tmp_path)
    path = night.suite_file.path
    path.write_text(SUITE + "description: edited\n")
    with starting.as_it_was_read(night.suite_file):
        assert starting.suite_of_run(str(path), None, "") is night.suite_file
    assert starting.suite_of_run(str(path), None, "").suite.description == "edited"


def test_a_part_of_a_night_is_of_its_date_and_ends_with_it(tmp_path: Path) -> None:
    night = replace(night_of(tmp_path), ends_at=minutes(60), resumes="another-run")
    part = starting.part_of(night, ["a"], minutes(25 * 60))
    assert part == replace(night, started_at=minutes(25 * 60), dated=BEGAN.date())
    assert part.date == night.date


def test_a_node_with_another_file_than_the_run_began_with_is_refused(tmp_path: Path) -> None:
    night = night_of(tmp_path)
    night.suite_file.path.write_text(SUITE + "description: edited\n")
    with pytest.raises(BadInput, match="is not what 20261121T020000Z-s-abcdef began with"):
        starting.suite_of_run(str(night.suite_file.path), night.run_id, night.suite_file.digest)


def test_a_run_keeps_the_text_of_its_suite(tmp_path: Path) -> None:
    facts = {fact.name: fact.value for fact in run_facts(night_of(tmp_path))}
    assert yaml.safe_load(facts["suite_text"]) == yaml.safe_load(SUITE)


def test_what_a_suite_hands_on_by_name_is_hidden_unless_it_is_a_path() -> None:
    engine = {"kind": "vllm", "pass_env": ["CORP_LOGIN", "CORP_CACHE"]}
    before = {"argv": ["drain"], "env": {"SLURM_JWT": "eyJhbGciOiJIUzI1"}, "pass_env": ["SITE"]}
    suite = Suite.model_validate(
        {
            "name": "s",
            "targets": [{"name": "a", "model": "hf:o/n", "engine": engine}],
            "before": [before],
            "accuracy": [{"benchmark": "starter"}],
        }
    )
    environ = {"CORP_LOGIN": "kim:open-sesame", "CORP_CACHE": "/srv/cache", "SITE": "site-4711-x"}
    redact = redactor_of_suite(suite, environ)
    assert redact("kim:open-sesame eyJhbGciOiJIUzI1 site-4711-x /srv/cache") == (
        "*** *** *** /srv/cache"
    )


def test_what_is_kept_of_a_suite_holds_no_secret_of_it() -> None:
    kept = shown_text(
        "# was: HF_TOKEN=hf_AbCdEfGh1234567890\n"
        "before: [{argv: [drain], env: {SLURM_JWT: eyJhbGciOi, PLACE: here}}]\n"
        "engine: {env: {DB_PASSWORD: sesame, FROM: '${DB_PASSWORD}'}, headers: {X-Api: open}}\n"
    )
    for secret in ("hf_Ab", "eyJh", "sesame", "open"):
        assert secret not in kept
    assert "PLACE: here" in kept
    assert "${DB_PASSWORD}" in kept


def test_nor_a_key_of_a_request_or_of_a_command_line() -> None:
    kept = shown_text(
        "engine: {argv: [serve, --api-key, sk-Zq81xYw27pLm, --port], args: {api-key: sk-plain}}\n"
        "generation: {max_tokens: 5, extra_body: {a: {token: sk-deep}, stop_token_ids: [1, 2]}}\n"
        "model: {tokenizer: plain}\n"
    )
    kept += shown_text(
        "generation: {extra_body: {api_keys: [sk-listed], credentials: {value: sk-below}},\n"
        "  chat_template_kwargs: {auth: sk-template}}\n"
    )
    for secret in ("sk-Zq", "sk-plain", "sk-deep", "sk-listed", "sk-below", "sk-template"):
        assert secret not in kept
    for harmless in ("max_tokens: 5", "- 2", "tokenizer: plain", "--port"):
        assert harmless in kept

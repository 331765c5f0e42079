"""The accepted configuration of a target, looked up once and booted as often as it is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prefect.logging import get_run_logger

from nightbench.history.reading import History
from nightbench.home.paths import Home
from nightbench.night.budget import NightClock
from nightbench.night.controls import Control, NoControl, find_control
from nightbench.night.run import Night
from nightbench.serving.hardware.machine import this_machine
from nightbench.serving.server import Server
from nightbench.suite.models import Target
from tasks.recording import TargetRecorder
from tasks.serving import served


class Controls:
    """One target's control of one night. `facts`: what the target runs on tonight."""

    def __init__(
        self, night: Night, target: Target, recorder: TargetRecorder, facts: Mapping[str, str]
    ) -> None:
        self._night, self._target, self._recorder = night, target, recorder
        self._facts = facts
        self._found: Control | None = None
        self._refused: NoControl | None = None  # once booted: not booted again to find out anew

    def look_up(self, history: History, accepted_run: str | None) -> Control:
        """What was accepted, ready to be booted. Raises NoControl where it cannot be."""
        if accepted_run is None:
            raise NoControl("no night of an accepted configuration is left to be held against")
        if self._refused is not None:
            raise self._refused
        if self._found is None or self._found.run_id != accepted_run:
            self._found = find_control(
                history,
                Home.from_env(),
                accepted_run,
                tonight=self._target,
                tonight_file=self._night.suite_file,
                tonight_facts=self._facts,
                has_gpu=this_machine().has_gpu,
            )
            get_run_logger().info(
                "%s is held against its configuration of %s", self._target.name, accepted_run
            )
        return self._found

    @contextmanager
    def boot(self, control: Control, clock: NightClock, launch: int) -> Iterator[Server]:
        """Serve it. Raises NoControl where it turns out to be another."""
        with served(
            self._target, control.base_dir, self._recorder, clock, launch=launch, control=control
        ) as server:
            booted = {fact.name: fact.value for fact in server.provenance()}
            asked = {name: control.facts.get(name, "") for name in ("engine_kind", "config_digest")}
            try:
                control.refuse_another(booted | asked)
            except NoControl as refused:
                self._refused = refused
                raise
            yield server

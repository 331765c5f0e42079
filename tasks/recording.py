"""Nothing measured is lost: rows are spooled as they are made, and sealed in the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

from prefect import runtime
from prefect.client.schemas.objects import State

from nightbench.history.clock import utc_now
from nightbench.history.spool.writer import RUN_FOLDER, Spool, SpoolIdentity
from nightbench.history.tables import Row
from nightbench.home.paths import Home
from nightbench.night import run as nights
from nightbench.night.budget import TimeIsOver
from nightbench.night.run import Night
from nightbench.night.screening import ran_tonight
from nightbench.records import LoadInterval, LoadLevel, TargetRow, TelemetryRow
from nightbench.serving.server import Server
from nightbench.suite.models import Target
from nightbench.verdicts.measured import RanTarget
from tasks.redacting import known

SKIPPED = "Skipped"  # the name of the state of a flow run that the night had no time for


class TargetRecorder:
    """The spool of one target, and what it has taken so far."""

    def __init__(self, night: Night, target: Target, spool: Spool, home: Home) -> None:
        self.target = target
        self.log_dir: Path = home.logs / night.run_id / target.name
        self.work_dir: Path = self.log_dir / "load"  # raw records, until they are parsed
        self._spool = spool
        self._started_at = utc_now()
        self._server: Server | None = None
        self.status = "running"
        self.measured: list[LoadLevel | LoadInterval] = []  # tonight's levels, also spooled
        self._row("running")
        for fact in nights.slo_facts(night.suite.slo):
            self._spool.append(fact)

    def keep(self, row: Row) -> None:
        """Spool one row, at once."""
        self._spool.append(row)
        if isinstance(row, LoadLevel | LoadInterval):
            self.measured.append(row)

    def keep_all(self, rows: Iterable[Row]) -> None:
        """Spool rows, at once."""
        for row in rows:
            self._spool.append(row)

    def keep_file(self, table: str, path: Path) -> None:
        """Spool a Parquet file of many rows."""
        self._spool.add_parquet(table, path)

    def serving(self, server: Server) -> None:
        """A server is up: note what the measurements are made on."""
        self._server = server
        self.keep_out_secrets(server)
        self._spool.set_hardware_class(server.hardware_class)
        for fact in server.provenance():
            self._spool.append(fact)
        self._row("running")

    def keep_out_secrets(self, server: Server) -> None:
        """What a server is asked with is no matter of the history."""
        self._spool.keep_out(*server.endpoint.redact.secrets)

    def take_telemetry(self, server: Server) -> list[TelemetryRow]:
        """Spool what the server's hardware and counters said since the last time; the readings."""
        readings = server.drain_telemetry()
        for reading in readings:
            self._spool.append(reading)
        return readings

    def as_ran(self, night: Night, server: Server) -> RanTarget:
        """The target as the history will have it once it has landed."""
        return ran_tonight(
            run_id=night.run_id,
            began=night.started_at,
            night_of=night.date,
            name=self.target.name,
            hardware_class=server.hardware_class,
            row=self._target_row("completed", None, None),
            facts=server.provenance(),
        )

    def facts_now(self, server: Server) -> dict[str, str]:
        """What the target runs on tonight, by the names that the history has for it."""
        row = self._target_row("running", None, None)
        facts = {fact.name: fact.value for fact in server.provenance()}
        facts |= {"engine_kind": row.engine_kind, "config_digest": row.config_digest}
        return facts | ({"engine_version": row.engine_version} if row.engine_version else {})

    def close(self, status: str, error: BaseException | None) -> None:
        """Seal the folder with how the target went."""
        self.status = status
        self._row(status, ended_at=utc_now(), error=None if error is None else str(error))
        self._spool.seal(status)

    def _row(
        self, status: str, *, ended_at: datetime | None = None, error: str | None = None
    ) -> None:
        self._spool.append(self._target_row(status, ended_at, error))

    def _target_row(self, status: str, ended_at: datetime | None, error: str | None) -> TargetRow:
        server = self._server
        launched = server.row() if server else None
        return nights.target_row(
            self.target,
            status=status,
            started_at=self._started_at,
            ended_at=ended_at,
            served_model_name=server.endpoint.model if server else "",
            engine_version=launched.engine_version if launched else None,
            error=error,
        )


@contextmanager
def recorded_target(night: Night, target: Target) -> Iterator[TargetRecorder]:
    """A spool folder for one target, sealed however the context is left."""
    home = Home.from_env()
    identity = SpoolIdentity(run_id=night.run_id, target=target.name, night=night.date)
    spool = Spool.open(home.spool, identity, redact=known())
    recorder = TargetRecorder(night, target, spool, home)
    try:
        yield recorder
    except TimeIsOver as error:  # neither failed nor measured: the night goes on to its end
        recorder.close("skipped", error)
        return
    except Exception as error:
        recorder.close("failed", error)
        raise
    except BaseException as error:  # interrupted or cancelled: sealed, and raised again
        recorder.close("cancelled", error)
        raise
    recorder.close("completed", None)


class RunRecorder:
    """The spool folder of the run itself, and which of its targets failed or were skipped."""

    def __init__(self, night: Night, spool: Spool) -> None:
        self._night = night
        self._spool = spool
        self._flow_run_id = str(runtime.flow_run.id or "") or None
        self.failed: list[str] = []
        self.skipped: list[str] = []
        self._remarks: list[str] = []
        self._spool.append(nights.run_row(night, status="running", flow_run_id=self._flow_run_id))
        for fact in nights.run_facts(night):
            self._spool.append(fact)

    def note(self, target: Target, state: State[Any]) -> None:
        """Remember how a target went."""
        if state.name == SKIPPED:
            self.skipped.append(target.name)
        elif not state.is_completed():
            self.failed.append(target.name)

    def remark(self, text: str) -> None:
        """Remember what went wrong beside the measuring: it is said with the run's error."""
        self._remarks.append(text)

    def close(self, status: str, error: str | None = None) -> None:
        """Seal the folder with how the run went."""
        said = "\n".join(filter(None, [error, *self._remarks])) or None
        self._spool.append(
            nights.run_row(
                self._night,
                status=status,
                ended_at=utc_now(),
                error=said,
                flow_run_id=self._flow_run_id,
            )
        )
        self._spool.seal(status)


def recorded_run_if(alone: bool, night: Night) -> AbstractContextManager[object]:
    """`recorded_run` for a target that is a run of its own; else its night keeps the run."""
    return recorded_run(night) if alone else nullcontext()


@contextmanager
def recorded_run(night: Night) -> Iterator[RunRecorder]:
    """The row of the run itself: there from the start, complete when the context is left."""
    identity = SpoolIdentity(run_id=night.run_id, target=RUN_FOLDER, night=night.date)
    recorder = RunRecorder(night, Spool.open(Home.from_env().spool, identity, redact=known()))
    try:
        yield recorder
    except Exception as error:
        recorder.close("failed", str(error))
        raise
    except BaseException as error:
        recorder.close("cancelled", repr(error))
        raise
    if recorder.failed:
        recorder.close("failed", f"these targets failed: {', '.join(recorder.failed)}")
    else:
        recorder.close("completed")

"""One execution of a suite as a value: its id, its targets, and what came of them."""

from __future__ import annotations

import hashlib
import json
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from nightbench import __version__
from nightbench.engines import target_engine
from nightbench.records import ProvenanceRow, RunRow, TargetRow
from nightbench.serving.provenance import git_commit
from nightbench.suite.file import SuiteFile
from nightbench.suite.models import Slo, Suite, Target
from nightbench.suite.secret_sources import shown_text
from nightbench.suite.verdicts import VerdictSettings

_BEGUN = re.compile(r"^\d{8}T\d{6}(?=Z-)")


@dataclass(frozen=True, slots=True)
class Night:
    """A run that has begun."""

    run_id: str
    started_at: datetime
    suite_file: SuiteFile
    targets: tuple[Target, ...]
    trigger: str = "cli"
    resumes: str | None = None  # the run whose answers are taken over
    ends_at: datetime | None = None  # when its time is over
    timezone: str = "UTC"  # that of the nights' schedule
    dated: date | None = None  # the night this is a part of, where it is one

    @property
    def suite(self) -> Suite:
        """What the night benchmarks."""
        return self.suite_file.suite

    @property
    def base_dir(self) -> Path:
        """Where the suite's relative paths start."""
        return self.suite_file.base_dir

    @property
    def date(self) -> date:
        """The day the run belongs to: when it began, on the clocks of its time zone. A target of
        it that begins after midnight belongs to the same day."""
        if self.dated is not None:
            return self.dated
        begun = _BEGUN.match(self.run_id)
        moment = (
            datetime.strptime(begun[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
            if begun
            else self.started_at
        )
        return moment.astimezone(ZoneInfo(self.timezone)).date()


def new_run_id(suite: str, now: datetime, entropy: bytes) -> str:
    """`20261121T020000Z-starter-3fa9c1`: sorts by time, says which suite, is unique."""
    return f"{now:%Y%m%dT%H%M%SZ}-{suite}-{entropy.hex()[:6]}"


def choose_targets(suite_file: SuiteFile, names: Sequence[str] | None) -> tuple[Target, ...]:
    """The targets to run, highest priority first. Raises SuiteError for an unknown name."""
    chosen = [suite_file.target(name) for name in names] if names else suite_file.suite.targets
    return tuple(sorted(chosen, key=lambda target: -target.priority))


def config_digest(target: Target) -> str:
    """Names a target's engine configuration: it changes when the suite's text for it does."""
    # What is left out where nobody set it is younger than digests without it.
    unset = set() if target_engine.pass_env(target) else {"pass_env"}
    unset |= {"verify_tls"} if getattr(target.engine, "verify_tls", True) else set()
    unset |= set() if target.is_shared else {"shared"}
    apart = dict.fromkeys(("accuracy", "limits", "load", "priority"), True)
    beside: dict[str, Any] = {**apart, "engine": unset}
    text = target.model_dump_json(exclude=beside)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def run_row(
    night: Night,
    *,
    status: str,
    ended_at: datetime | None = None,
    error: str | None = None,
    flow_run_id: str | None = None,
) -> RunRow:
    """The row of the run itself."""
    return RunRow(
        suite=night.suite.name,
        suite_digest=night.suite_file.digest,
        status=status,
        trigger=night.trigger,
        started_at=night.started_at,
        ended_at=ended_at,
        error=error,
        flow_run_id=flow_run_id,
        nightbench_version=__version__,
        git_commit=git_commit(),
        host=socket.gethostname(),
    )


def run_facts(night: Night) -> list[ProvenanceRow]:
    """What the run was asked to do: what it takes to resume it, should it die."""
    names = json.dumps([target.name for target in night.targets])
    facts = [
        ProvenanceRow(name="suite_file", value=str(night.suite_file.path)),
        ProvenanceRow(name="targets", value=names),
        ProvenanceRow(name="suite_text", value=shown_text(night.suite_file.text)),
    ]
    if night.suite.verdicts != VerdictSettings():
        said = night.suite.verdicts.model_dump_json(exclude_defaults=True)
        facts.append(ProvenanceRow(name="verdicts", value=said))
    if night.resumes is not None:
        facts.append(ProvenanceRow(name="resumed_from", value=night.resumes))
    return facts


def target_row(
    target: Target,
    *,
    status: str,
    started_at: datetime,
    ended_at: datetime | None = None,
    served_model_name: str = "",
    engine_version: str | None = None,
    error: str | None = None,
) -> TargetRow:
    """The row of one target."""
    return TargetRow(
        model=target.model or "",
        served_model_name=served_model_name or target.served_model_name or "",
        engine_kind=target.engine.kind,
        engine_version=engine_version,
        config_digest=config_digest(target),
        status=status,
        error=error,
        started_at=started_at,
        ended_at=ended_at,
    )


def skipped_fact(stage: str, reason: str) -> ProvenanceRow:
    """That a stage of a target was not begun, and why (read back by sql/queries/run_skipped)."""
    return ProvenanceRow(name=f"skipped {stage}", value=reason)


def slo_facts(slo: Slo) -> list[ProvenanceRow]:
    """The suite's limits as facts of a target: what the view `capacity` judges by."""
    limits = slo.model_dump(exclude_none=True)
    return [ProvenanceRow(name=f"slo_{name}", value=str(value)) for name, value in limits.items()]

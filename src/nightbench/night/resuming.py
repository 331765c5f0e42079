"""A run that ended too early, and what a run that resumes it takes over.

The run that resumes is a run of its own: the history takes every target of a run once, and load is
measured again in full, since half a measurement is none. Only answers are taken over, and only from
the run that a person named.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from nightbench.errors import BadInput
from nightbench.history.ingest import land
from nightbench.history.query_parameters import find_run
from nightbench.history.reading import History, open_history
from nightbench.history.run_results import read_facts, read_run, read_samples
from nightbench.history.spool.writer import recover
from nightbench.home.paths import Home
from nightbench.records import AccuracySample
from nightbench.suite.file import SuiteFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """A run that ended too early; `targets` are those of it that did not complete."""

    run_id: str
    suite_file: str
    suite_digest: str
    targets: tuple[str, ...]

    def refuse_another(self, suite_file: SuiteFile) -> None:
        """Raises BadInput where this is not, word for word, the suite of the run."""
        if suite_file.digest != self.suite_digest:
            raise BadInput(
                f"{suite_file.path} is not the suite that {self.run_id} ran: the suite was "
                f"{self.suite_digest} ({self.suite_file}) and this is {suite_file.digest}",
                hint="Replies to another suite cannot be reused: start a new run.",
            )


def find_unfinished(home: Home, given: str) -> Unfinished:
    """The run to resume (an id, the beginning of one, `latest`), once what it left has landed.

    Raises BadInput where there is none, it is still running, or it has nothing left to do.
    """
    recover(home.spool)
    land(home)
    with open_history(home) as history:
        return _unfinished(history, find_run(history, given))


def _unfinished(history: History, run_id: str) -> Unfinished:
    results, facts = read_run(history, run_id), read_facts(history, run_id)
    if results.row is None:
        raise BadInput(
            f"{run_id} cannot be resumed: it has not ended, or was a single target",
            hint="`nightbench history` lists the runs that have ended.",
        )
    if "suite_file" not in facts:
        raise BadInput(f"{run_id} cannot be resumed: it does not record its suite")
    completed = {t.target for t in results.targets if t.row.status == "completed"}
    left = tuple(name for name in json.loads(facts["targets"]) if name not in completed)
    if not left:
        raise BadInput(f"{run_id} has nothing left to do: all its targets completed")
    return Unfinished(
        run_id=run_id,
        suite_file=facts["suite_file"],
        suite_digest=results.row.suite_digest,
        targets=left,
    )


def answers(
    home: Home, run_id: str, target: str, hardware_class: str | None
) -> list[AccuracySample]:
    """What a target has answered in a run. Other hardware may answer otherwise, even at temperature
    0: answers given on other hardware than this are left out."""
    with open_history(home) as history:
        return [
            kept.sample
            for kept in read_samples(history, run_id, target=target)
            if kept.hardware_class == hardware_class
        ]

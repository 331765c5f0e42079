"""How a night ends in the Prefect UI: completed, or failed with the names of what failed."""

from __future__ import annotations

import logging

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from nightbench.errors import NightbenchError
from nightbench.history.run_results import RunResults
from tasks.recording import SKIPPED, RunRecorder, TargetRecorder


class TargetsFailed(NightbenchError):
    """Some targets of a night failed; what the others came to is in `results`."""

    def __init__(self, message: str, results: RunResults) -> None:
        super().__init__(message)
        self.results = results


class _WithoutTheEnginesTraceback(logging.Filter):
    """Prefect raises and logs what a run failed with; here the state's message has said it all."""

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.exc_info[0] if isinstance(record.exc_info, tuple) else None
        return kind is None or not issubclass(kind, TargetsFailed)


logging.getLogger("prefect.flow_runs").addFilter(_WithoutTheEnginesTraceback())


def conclude_target(recorder: TargetRecorder) -> State[None]:
    """The final state of a target's flow run, where it did not fail."""
    if recorder.status == "skipped":
        return Completed(name=SKIPPED, message=f"{recorder.target.name} did not fit into the night")
    return Completed()


def conclude(results: RunResults, run: RunRecorder) -> State[RunResults]:
    """The final state of the flow run, with its results."""
    if run.failed:
        message = f"{results.run_id}: these targets failed: {', '.join(run.failed)}"
        return Failed(message=message, data=TargetsFailed(message, results))
    if results.skipped:
        skipped = "; ".join(map(str, results.skipped))
        return Completed(message=f"{results.run_id}: ingested, but {skipped}", data=results)
    return Completed(message=f"{results.run_id}: everything measured and ingested", data=results)

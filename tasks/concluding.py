"""How a night ends in the Prefect UI: completed, or failed with the names of what failed."""

from __future__ import annotations

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from nightbench.history.run_results import RunResults
from tasks.keeping import RunKeeper


def conclude(results: RunResults, run: RunKeeper) -> State[RunResults]:
    """The final state of the flow run, with its results."""
    if run.failed:
        message = f"{results.run_id}: these targets failed: {', '.join(run.failed)}"
        return Failed(message=message, data=results)
    return Completed(message=f"{results.run_id}: everything measured and landed", data=results)

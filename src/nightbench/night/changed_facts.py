"""What of a target's provenance changed from one run to another, in words."""

from __future__ import annotations

from nightbench.history.reading import History
from nightbench.history.sql_files import statement
from nightbench.verdicts.differences import changes


def changed_between(history: History, target: str, before: str | None, after: str | None) -> str:
    """ "" where nothing that is known has changed, or there is no run before."""
    if before is None or after is None:
        return ""
    return changes(facts_of(history, target, before), facts_of(history, target, after))


def facts_of(history: History, target: str, run_id: str) -> dict[str, str]:
    """What a target was measured on in a run."""
    found = history.sql(statement("facts_of_target"), run_id=run_id, target=target).rows
    return {str(name): str(value) for name, value in found if value is not None}

"""What a target was asked the run before, where tonight asks it something else: to ask both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nightbench.history.reading import History
from nightbench.history.run_results import read_facts
from nightbench.history.sql_files import statement
from nightbench.load.plan.levels import Level, plan_levels
from nightbench.load.plan.workloads import Prompts, read_prompts
from nightbench.night.controls import NoControl, base_dir_then, suite_then
from nightbench.records import LoadLevel
from nightbench.suite.file import SuiteFile
from nightbench.suite.models import Target, is_too_fast
from nightbench.verdicts.composites import Eras


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedBefore:
    """A workload as the run before asked it: its levels, their prompts, how long they took."""

    run_id: str
    workload: str
    levels: tuple[Level, ...]
    prompts: Prompts
    took_s: float


def asked_before(
    history: History,
    target: Target,
    hardware_class: str,
    tonight: Sequence[LoadLevel],
    *,
    run_id: str,
    tonight_file: SuiteFile,
) -> AskedBefore | None:
    """What to ask once more of one workload, `tonight` its levels; None where the last time asked
    the same, or there was none.

    Raises NoControl where what was asked then cannot be asked any more: the generator, the prompts
    or the suite are not what they were, or an API may not be asked as fast. Raises DataError where
    the prompts are gone.
    """
    workload = tonight[0].workload
    found = history.sql(
        statement("newest_keys"),
        target=target.name,
        workload=workload,
        hardware_class=hardware_class,
        run_id=run_id,
    ).rows
    keys = {str(level): str(key) for _, level, key, _ in found}
    if not found or is_the_same(keys, {row.level: row.measurement_key for row in tonight}):
        return None
    then = str(found[0][0])
    levels, prompts = _levels_then(history, then, target, workload, tonight_file)
    kept = tuple(one for one in levels if one.measurement_key(prompts) == keys.get(one.label))
    if not kept:
        raise NoControl(f"{workload} cannot be asked any more as {then} asked it")
    took = {str(level): float(str(took_s)) for _, level, _, took_s in found}
    return AskedBefore(
        run_id=then,
        workload=workload,
        levels=kept,
        prompts=prompts,
        took_s=sum(took[level.label] for level in kept),
    )


def is_the_same(before: dict[str, str], tonight: dict[str, str]) -> bool:
    """Whether tonight's levels go on with those of before, by their measurement keys."""
    eras = Eras()
    return eras.of(before) == eras.of(tonight)


def _levels_then(
    history: History, run_id: str, target: Target, workload: str, tonight_file: SuiteFile
) -> tuple[Sequence[Level], Prompts]:
    said = read_facts(history, run_id)
    if "suite_text" not in said:
        raise NoControl(f"the history does not say what {run_id} asked")
    suite = suite_then(said["suite_text"], tonight_file.text)
    loads = [
        load
        for one in suite.targets
        if one.name == target.name
        for load in suite.load_of(one)
        if load.name == workload
    ]
    if not loads:
        raise NoControl(f"the suite of {run_id} does not ask {workload} of {target.name}")
    if is_too_fast(loads[0], target):
        raise NoControl(
            f"{target.name} may no longer be asked as fast as {run_id} asked {workload}"
        )
    levels = plan_levels(loads[0])
    base_dir = base_dir_then(said, tonight_file)
    needed = levels[-1].prompts_needed
    return levels, read_prompts(loads[0].workload, needed, loads[0].seed, base_dir)

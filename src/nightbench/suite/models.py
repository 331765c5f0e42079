"""What to benchmark: strict, frozen models of suite.yaml, as a person writes it.

Reading a suite touches nothing but its file. Whether a model or a data file is there is asked by
`nightbench.night.planning`, whether the hardware is there by `nightbench.serving`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from nightbench.plugins import ENGINES
from nightbench.suite.asked import (
    AccuracySpec,
    DurationS,
    Generation,
    Limits,
    LoadSpec,
    Timeouts,
    Workload,
)
from nightbench.suite.engines import (
    EngineOfAKind,
    Environment,
    ExternalApi,
    words_without_keys,
)
from nightbench.suite.types import (
    Name,
    PositiveFloat,
    Scalar,
    Strict,
    TimeOfDay,
)
from nightbench.suite.verdicts import VerdictSettings

__all__ = [
    "AccuracySpec",
    "Environment",
    "Gates",
    "Generation",
    "Limits",
    "LoadSpec",
    "NightCommand",
    "Scalar",
    "Slo",
    "Strict",
    "Suite",
    "SwanlabSettings",
    "Target",
    "Timeouts",
    "VerdictSettings",
    "Workload",
]


class Target(Strict):
    """One model on one engine configuration: what a series over nights is about.

    `accuracy` and `load`, where given, replace the suite's for this target. A server that shows no
    life for `hang_timeout_s` is ended; without GPUs, ten times that while its processes compute.
    """

    name: Name
    model: str | None = None
    served_model_name: str | None = None
    engine: EngineOfAKind
    boot_timeout_s: DurationS = 1800
    hang_timeout_s: DurationS = 30
    limits: Limits = Limits()
    priority: int = 0  # higher first, where the time budget does not hold all
    accuracy: tuple[AccuracySpec, ...] | None = None
    load: tuple[LoadSpec, ...] | None = None

    @model_validator(mode="after")
    def _model_where_needed(self) -> Target:
        engine = ENGINES.find(self.engine.kind)
        if self.model is None and engine.needs_model:
            raise ValueError(f"model: {engine.needs_model}")
        engine.refuse(self.engine, self.model, self.served_model_name)
        return self

    @property
    def attached_to(self) -> ExternalApi | None:
        """The API that somebody else runs, where that is what the target is."""
        attached: ExternalApi | None = ENGINES.find(self.engine.kind).attached(self.engine)
        return attached

    @property
    def is_attached(self) -> bool:
        """Whether somebody else runs the server: it is neither started nor stopped."""
        return self.attached_to is not None

    @property
    def is_shared(self) -> bool:
        """Whether several runs may be at the same server at once."""
        attached = self.attached_to
        return attached is not None and attached.shared

    @property
    def requests_per_second(self) -> float | None:
        """How fast the API may be asked, where somebody else limits that."""
        return self.attached_to.requests_per_second if self.attached_to else None

    @property
    def max_retries(self) -> int | None:
        """How often a failed question is asked again, where the suite says so."""
        return self.attached_to.max_retries if self.attached_to else None


class Slo(Strict):
    """Limits a request, or a level's percentile, must meet."""

    ttft_p95_ms: PositiveFloat | None = None
    tpot_p95_ms: PositiveFloat | None = None
    e2el_p95_ms: PositiveFloat | None = None


class Gates(Strict):
    """What makes `nightbench run --gate` exit with 3.

    `max_regression` 0.05: a target that is worse than it was by 5 % or more, in any judged metric.
    """

    min_accuracy: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}
    max_regression: Annotated[float, Field(gt=0, lt=1)] | None = None


class SwanlabSettings(Strict):
    """How the dashboards are named. `level_experiment` asks for one experiment per load level too;
    {target}, {served_model_name}, {workload}, {num_prompts} and {max_concurrency} are filled in."""

    project: Name = "nightbench"
    level_experiment: str | None = None


class NightCommand(Strict):
    """A command of the night itself, outside every target: drain the node, tell the cluster.

    It runs in the suite's folder, is ended after `timeout`, and is told NIGHTBENCH_RUN_ID,
    NIGHTBENCH_NIGHT, NIGHTBENCH_SUITE and, in `after`, NIGHTBENCH_STATUS. Of nightbench's own
    environment it gets the system's part, and what `pass_env` names.
    """

    argv: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(words_without_keys)]
    timeout: DurationS = 300
    env: dict[str, Scalar] = {}
    pass_env: tuple[str, ...] = ()


class Suite(Strict):
    """A suite file.

    `must_end_by` is a time of day in the time zone of the nights' schedule. Where a command of
    `before` fails nothing is measured; those of `after` run however the night went.
    """

    name: Name
    description: str = ""
    time_budget: DurationS | None = None
    must_end_by: TimeOfDay | None = None
    before: tuple[NightCommand, ...] = ()
    after: tuple[NightCommand, ...] = ()
    targets: Annotated[tuple[Target, ...], Field(min_length=1)]
    matrix: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    accuracy: tuple[AccuracySpec, ...] = ()
    load: tuple[LoadSpec, ...] = ()
    slo: Slo = Slo()
    gates: Gates = Gates()
    verdicts: VerdictSettings = VerdictSettings()
    swanlab: SwanlabSettings = SwanlabSettings()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Suite:
        _refuse_duplicates("targets", [target.name for target in self.targets])
        _refuse_duplicates("load", [load.name for load in self.load])
        _refuse_alike(self.accuracy, "accuracy")
        for target in self.targets:
            _refuse_alike(target.accuracy or (), f"targets.{target.name}.accuracy")
            for load in self.load_of(target):
                _refuse_faster(load, target)
                _refuse_duplicates(f"load {load.name}", _steps_of(load))
        self._refuse_gates_without_numbers()
        return self

    def _refuse_gates_without_numbers(self) -> None:
        """A gate that nothing could ever break is a typing error."""
        asked = {spec.label for target in self.targets for spec in self.accuracy_of(target)}
        for benchmark in self.gates.min_accuracy:
            if benchmark not in asked:
                there = ", ".join(sorted(asked)) or "none"
                raise ValueError(
                    f"gates.min_accuracy.{benchmark}: no target runs it; there are {there}"
                )
        loads = any(self.load_of(target) for target in self.targets)
        if self.gates.max_regression is not None and not (asked or loads):
            raise ValueError("gates.max_regression: the suite measures nothing that could regress")

    def accuracy_of(self, target: Target) -> tuple[AccuracySpec, ...]:
        """The benchmarks this target is asked, highest priority first."""
        chosen = self.accuracy if target.accuracy is None else target.accuracy
        return tuple(sorted(chosen, key=lambda spec: -spec.priority))

    def load_of(self, target: Target) -> tuple[LoadSpec, ...]:
        """The loads this target is put under, highest priority first."""
        chosen = self.load if target.load is None else target.load
        return tuple(sorted(chosen, key=lambda spec: -spec.priority))


def _steps_of(load: LoadSpec) -> list[str]:
    """What its levels are called in the history."""
    return [f"{step:g}" for step in (load.max_concurrency or load.request_rate or ())]


def is_too_fast(load: LoadSpec, target: Target) -> bool:
    """Whether a load would ask an API more often than it may be asked."""
    limit = target.requests_per_second
    return limit is not None and not (load.request_rate and max(load.request_rate) <= limit)


def _refuse_faster(load: LoadSpec, target: Target) -> None:
    limit = target.requests_per_second
    if limit is None or not is_too_fast(load, target):
        return
    raise ValueError(
        f"load {load.name}: {target.name} allows {limit:g} requests per second: expected "
        f"request_rate of at most {limit:g}"
    )


def _refuse_alike(entries: tuple[AccuracySpec, ...], where: str) -> None:
    """Two entries whose results could not be told apart."""
    labels = [entry.label.lower().replace("-", "_") for entry in entries]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise ValueError(
            f"{where}: {', '.join(twice)} appears twice: give each a name of its own "
            "(name: iquiz-cold)"
        )


def _refuse_duplicates(what: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{what}: expected distinct names, {', '.join(twice)} appears twice")

"""The suite's key `verdicts`: what is judged, from which size, what measuring again may take."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from nightbench.metrics import judged
from nightbench.suite.types import Strict

PRIMARY = ("output_throughput", "median_ttft_ms", "median_tpot_ms")
_SPEC = re.compile(r"[a-z0-9_]+(@[A-Za-z0-9.]+)?")


class MinEffectSpec(Strict):
    """From which change a metric is spoken of: per cent, and for a time also ms; the larger counts.
    A number alone is per cent."""

    pct: Annotated[float, Field(gt=0, lt=100)] = 2.0
    ms: Annotated[float, Field(ge=0)] = 0.0


def _per_cent(value: object) -> object:
    return {"pct": value} if isinstance(value, int | float) else value


class VerdictSettings(Strict):
    """`primary`: metrics (columns of load_levels), each judged over all levels of a workload, or
    METRIC@LEVEL for one level. `reserve`: the share of the time budget for measuring again."""

    primary: Annotated[tuple[str, ...], Field(min_length=1)] = PRIMARY
    min_effect: dict[str, Annotated[MinEffectSpec, BeforeValidator(_per_cent)]] = {}
    reserve: Annotated[float, Field(ge=0, le=0.5)] = 0.2

    @field_validator("primary")
    @classmethod
    def _are_metrics(cls, specs: tuple[str, ...]) -> tuple[str, ...]:
        for spec in specs:
            if not _SPEC.fullmatch(spec):
                raise ValueError(f"{spec!r}: expected METRIC or METRIC@LEVEL")
            _refuse_unknown(spec.partition("@")[0])
        return specs

    @field_validator("min_effect")
    @classmethod
    def _are_of_metrics(cls, effects: dict[str, MinEffectSpec]) -> dict[str, MinEffectSpec]:
        for metric, effect in effects.items():
            _refuse_unknown(metric)
            if effect.ms and not metric.endswith("_ms"):
                raise ValueError(f"{metric} is not a time: expected pct alone")
        return effects


def _refuse_unknown(metric: str) -> None:
    if metric not in {column.name for column in judged()}:
        raise ValueError(f"{metric!r} is not a column of load_levels that can be judged")

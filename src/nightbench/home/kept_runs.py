"""How much is kept. Dashboards and logs: of the newest so many runs, whatever the clock says.

Numbers stay in the history for good; these can be drawn again from it, or are of no use by then.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from nightbench.errors import BadInput

KEPT_RUNS = 60  # two months of nights
KEPT_ENGINES_GB = 100  # some ten environments
AHEAD = timedelta(days=1)  # what is dated further ahead was dated by a clock that was wrong
_NAME = re.compile(r"^(\d{8})T(\d{6})Z-|^serve-(\d{8})-(\d{6})-\d+$")


@dataclass(frozen=True, slots=True)
class RunRetention:
    """How many of the newest runs have what is kept for a time, and how much disk the engines'
    environments may take."""

    swanlab_runs: int = KEPT_RUNS  # of each project
    log_runs: int = KEPT_RUNS
    engines_gb: int = KEPT_ENGINES_GB

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> RunRetention:
        """NIGHTBENCH_KEEP_SWANLAB_RUNS, NIGHTBENCH_KEEP_LOG_RUNS and NIGHTBENCH_KEEP_ENGINES_GB,
        where they are set.

        Raises:
            BadInput: one of them is no whole number.
        """
        named = {field.name: f"NIGHTBENCH_KEEP_{field.name.upper()}" for field in fields(cls)}
        given = {field: text for field, name in named.items() if (text := environ.get(name))}
        for field, text in given.items():
            if not (text.isascii() and text.isdigit() and int(text)):
                what = "GB" if field == "engines_gb" else "runs"
                raise BadInput(
                    f"{named[field]} is {text!r}", hint=f"Expected a number of {what}, at least 1."
                )
        return cls(**{field: int(text) for field, text in given.items()})


def moment_in(name: str) -> str | None:
    """When a run began (`20261121T020000Z-starter-3fa9c1`, `serve-20261121-020000-4242`), as digits
    that sort by time; None for what is named otherwise."""
    found = _NAME.match(name)
    return "".join(part for part in found.groups() if part) if found else None


def newest_runs(names: Iterable[str], number: int, now: datetime) -> set[str]:
    """The newest so many by the moments in their names. Those dated ahead of now come last, so that
    nights of a clock that was wrong do not push out the true ones."""
    latest = (now + AHEAD).strftime("%Y%m%d%H%M%S")

    def order(name: str) -> tuple[bool, str, str]:
        moment = moment_in(name) or ""
        return moment <= latest, moment, name

    return set(sorted(set(names), key=order)[-number:])

"""What a dashboard shows of a run, as values: experiments, their curves and their config.

Level curves have the max_concurrency as x, series over nights the days since the first night,
telemetry the seconds since the first reading.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from nightbench.history.reading import History
from nightbench.history.sql_files import statement
from nightbench.history.store import Result
from nightbench.metrics import shown
from nightbench.terminal_text import safe_line

RecordValue = object
Record = Mapping[str, RecordValue]

LEVEL_METRICS = tuple(column.name for column in shown("board"))
_CONFIG_NAMES = {"status": "target_status"}  # SwanLab shows "status" in the place of its own
_RATE_SCALE = 100  # steps are whole numbers: 2.5 requests/s is x = 250


@dataclass(frozen=True, slots=True)
class Point:
    """One value of one curve."""

    metric: str
    step: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One experiment of a dashboard. `key` is the same whenever it is made again."""

    key: str
    name: str
    description: str
    config: tuple[tuple[str, str | int | float | None], ...]
    points: tuple[Point, ...]
    group: str


def experiments_of_run(
    history: History, run_id: str, *, level_template: str | None = None
) -> list[Experiment]:
    """One experiment per target of the run, and one per level where a template names them."""
    targets = records(history.sql(statement("mirror_targets"), run_id=run_id))
    levels = records(history.sql(statement("mirror_levels"), run_id=run_id))
    accuracies = records(history.sql(statement("mirror_accuracies"), run_id=run_id))
    night = targets[0]["night"] if targets else None
    readings = (
        records(history.sql(statement("mirror_telemetry"), run_id=run_id, night=night))
        if targets
        else []
    )
    experiments = []
    for target in targets:
        of_target = [level for level in levels if level["target"] == target["target"]]
        points = (
            *accuracy_points(r for r in accuracies if r["target"] == target["target"]),
            *(point for level in of_target for point in level_points(level)),
            *telemetry_points(r for r in readings if r["target"] == target["target"]),
        )
        experiments.append(_of_target(run_id, target, points))
        if level_template is not None:
            experiments += [_of_level(run_id, target, level, level_template) for level in of_target]
    return experiments


def experiments_over_nights(history: History, targets: Iterable[str]) -> list[Experiment]:
    """One experiment per target: its series over nights. Of a night with several runs, the last."""
    rows = records(history.sql(statement("mirror_nights"), targets=sorted(set(targets))))
    by_target: dict[str, list[Record]] = {}
    for row in rows:
        by_target.setdefault(str(row["target"]), []).append(row)
    return [_over_nights(target, of_target) for target, of_target in by_target.items()]


def accuracy_points(results: Iterable[Record]) -> list[Point]:
    """The accuracy of each benchmark with its interval, and of its subsets."""
    points = []
    for result in results:
        name, subset = str(result["benchmark"]), str(result["subset"])
        whole = subset == "all"
        label = safe_line(name if whole else f"{name}/{subset}")
        points += _point(f"accuracy/{label}", 0, result["accuracy"])
        if whole:
            points += _point(f"accuracy_ci_low/{label}", 0, result["ci_low"])
            points += _point(f"accuracy_ci_high/{label}", 0, result["ci_high"])
    return points


def level_points(level: Record) -> list[Point]:
    """A level's place on every level curve: x is max_concurrency, or 100 x request_rate."""
    rate, concurrency = level["request_rate"], level["max_concurrency"]
    if isinstance(rate, float):
        if not math.isfinite(rate):
            return []
        prefix, step = f"load_by_rate_x{_RATE_SCALE}", round(rate * _RATE_SCALE)
    else:
        prefix, step = "load", int(str(concurrency))
    workload = safe_line(str(level["workload"]))
    return [
        point
        for metric in LEVEL_METRICS
        for point in _point(f"{prefix}/{workload}/{metric}", step, level[metric])
    ]


def telemetry_points(readings: Iterable[Record]) -> list[Point]:
    """GPU, host and server counters by the second."""
    return [
        point
        for reading in readings
        for point in _point(
            f"telemetry/{reading['source']}/{reading['name']}",
            int(str(reading["step"])),
            reading["value"],
        )
    ]


def records(result: Result) -> list[Record]:
    """Rows by column name."""
    return [dict(zip(result.columns, row, strict=True)) for row in result.rows]


def _of_target(run_id: str, target: Record, points: tuple[Point, ...]) -> Experiment:
    name = str(target["target"])
    return Experiment(
        key=_key(run_id, name),
        name=safe_line(f"{name} {target['night']} {_clock(target['started_at'])}"),
        description=f"run {run_id}, {target['status']}; nightbench show {run_id}",
        config=(*_config(target), ("run_id", run_id), ("show", f"nightbench show {run_id}")),
        points=points,
        group=name,
    )


def _of_level(run_id: str, target: Record, level: Record, template: str) -> Experiment:
    label = str(level["max_concurrency"] or level["level"])
    name = template.format(
        target=target["target"],
        served_model_name=target["served_model_name"],
        workload=level["workload"],
        num_prompts=level["num_prompts"],
        max_concurrency=label,
    )
    shown = {key: level[key] for key in ("workload", "level", "num_prompts", "valid")}
    return Experiment(
        key=_key(run_id, str(target["target"]), str(level["workload"]), str(level["level"])),
        name=safe_line(name),
        description=safe_line(
            f"run {run_id}, {target['target']}, {level['workload']} {level['level']}"
        ),
        config=(*_config(target), ("run_id", run_id), *_config(shown)),
        points=tuple(level_points(level)),
        group=str(target["target"]),
    )


def _over_nights(target: str, rows: list[Record]) -> Experiment:
    nights = [row["night"] for row in rows if isinstance(row["night"], date)]
    first = min(nights)
    last_of_night: dict[tuple[str, int], Point] = {}
    for row in rows:  # by start time: a later run of the same night takes the place
        night = row["night"]
        if isinstance(night, date):
            for point in _point(f"nights/{row['metric']}", (night - first).days, row["value"]):
                last_of_night[point.metric, point.step] = point
    return Experiment(
        key=_key("nights", target),
        name=f"{target} over nights",
        description=f"x is days since {first}; {len(set(nights))} nights until {max(nights)}",
        config=(
            ("target", target),
            ("first_night", first.isoformat()),
            ("last_night", max(nights).isoformat()),
            ("nights", len(set(nights))),
        ),
        points=tuple(last_of_night.values()),
        group=target,
    )


def _clock(moment: object) -> str:
    return f"{moment:%H:%M}" if isinstance(moment, datetime) else ""


def _point(metric: str, step: int, value: object) -> list[Point]:
    """The point, or none where there is no number."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return []
    return [Point(metric, step, float(value))]


def _config(record: Record) -> tuple[tuple[str, str | int | float | None], ...]:
    return tuple(
        (_CONFIG_NAMES.get(key, key), _config_value(value)) for key, value in record.items()
    )


def _config_value(value: object) -> str | int | float | None:
    return value if isinstance(value, int | float | None) else safe_line(str(value))


def _key(*parts: str) -> str:
    """Lower-case letters and digits, as SwanLab wants a run id."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]

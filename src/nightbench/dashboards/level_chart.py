"""Level curves as an SVG: throughput and latencies over the load, one line per workload.

Written by hand: a page of the Prefect UI shows an image only by its address, and an SVG in a
`data:` address is a few kilobytes that need neither a drawing library nor a file server.
"""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Sequence
from itertools import groupby

from nightbench.metrics import Column, shown
from nightbench.records import LoadLevel
from nightbench.terminal_text import safe_line

_COLOURS = ("#2563eb", "#d97706", "#059669", "#9333ea", "#dc2626")
_INK, _GRID, _BAD = "#334155", "#e2e8f0", "#dc2626"
_PANEL_W, _PANEL_H, _LEFT, _TOP, _GAP = 240, 150, 52, 44, 64
_BOTTOM = 46


_PANELS = shown("chart")


def level_chart(levels: Sequence[LoadLevel]) -> str:
    """The SVG of one target's levels; a level that is not valid is an empty red mark.

    Levels are placed evenly in the order of their load: concurrencies mostly double.
    """
    labels = list(dict.fromkeys(level.level for level in sorted(levels, key=_load_of)))
    series = [
        (workload, sorted(of_workload, key=_load_of))
        for workload, of_workload in groupby(
            sorted(levels, key=lambda level: level.workload), key=lambda level: level.workload
        )
    ]
    width = len(_PANELS) * (_PANEL_W + _GAP) + 8
    height = _TOP + _PANEL_H + _BOTTOM
    panels = "".join(
        _panel(panel, series, labels, _LEFT + number * (_PANEL_W + _GAP))
        for number, panel in enumerate(_PANELS)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11" fill="{_INK}">'
        f'<rect width="{width}" height="{height}" fill="#fff"/>{panels}'
        f"{_legend([workload for workload, _ in series])}</svg>"
    )


def data_url(svg: str) -> str:
    """The picture as an address that holds it."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _load_of(level: LoadLevel) -> float:
    driven_by = level.request_rate if level.request_rate is not None else level.max_concurrency
    return math.inf if driven_by is None else driven_by


def _panel(
    panel: Column, series: list[tuple[str, list[LoadLevel]]], labels: list[str], left: int
) -> str:
    values = [v for _, levels in series for level in levels if (v := panel.of(level))]
    top = nice_ceiling(max((v for v in values if math.isfinite(v)), default=1.0))
    parts = [f'<text x="{left}" y="{_TOP - 10}" font-weight="bold">{_title(panel)}</text>']
    for share in (0.0, 0.5, 1.0):
        y = _y(share)
        parts.append(f'<path d="M{left} {y}h{_PANEL_W}" stroke="{_GRID}"/>')
        parts.append(
            f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{_short(share * top)}</text>'
        )
    for place, label in enumerate(labels):
        x = left + _x(place, len(labels))
        parts.append(
            f'<text x="{x}" y="{_TOP + _PANEL_H + 16}" text-anchor="middle">'
            f"{html.escape(safe_line(label, max_chars=20))}</text>"
        )
    for number, (_, levels) in enumerate(series):
        points = [
            (left + _x(labels.index(level.level), len(labels)), _y(value / top), level)
            for level in levels
            if (value := panel.of(level)) is not None and math.isfinite(value)
        ]
        parts.append(_line(points, _COLOURS[number % len(_COLOURS)]))
    return "".join(parts)


def _title(panel: Column) -> str:
    metric = panel.metric
    return metric.title or f"{panel.statistic} {metric.label}, {metric.unit}"


def _line(points: list[tuple[float, float, LoadLevel]], colour: str) -> str:
    path = " ".join(f"{x},{y}" for x, y, _ in points)
    marks = "".join(
        f'<circle cx="{x}" cy="{y}" r="4" fill="{colour if level.valid else "#fff"}" '
        f'stroke="{colour if level.valid else _BAD}" stroke-width="1.5"/>'
        for x, y, level in points
    )
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{marks}'


def _legend(workloads: list[str]) -> str:
    parts, x = [], float(_LEFT)
    y = _TOP + _PANEL_H + _BOTTOM - 10
    for number, workload in enumerate(workloads):
        name = safe_line(workload, max_chars=40)
        parts.append(
            f'<rect x="{x}" y="{y - 9}" width="10" height="10" '
            f'fill="{_COLOURS[number % len(_COLOURS)]}"/>'
            f'<text x="{x + 16}" y="{y}">{html.escape(name)}</text>'
        )
        x += 40 + 7 * len(name)
    return "".join(parts)


def _x(place: int, places: int) -> float:
    return round(_PANEL_W * (place + 0.5) / places, 1)


def _y(share: float) -> float:
    return round(_TOP + _PANEL_H * (1 - share), 1)


def nice_ceiling(value: float) -> float:
    """The next of 1, 2, 2.5, 5 or 10 times a power of ten: where an axis ends."""
    power: float = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value * (1 - 1e-9))


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:g}"

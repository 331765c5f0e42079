"""Level curves as an SVG."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest
from a_run import level
from hypothesis import given
from hypothesis import strategies as st

from nightbench.dashboards.level_chart import data_url, level_chart, nice_ceiling

SVG = "{http://www.w3.org/2000/svg}"


def parts(svg: str, kind: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(f"{SVG}{kind}"))  # noqa: S314 - our own


def marks(svg: str) -> list[dict[str, str]]:
    return [dict(circle.attrib) for circle in parts(svg, "circle")]


def test_every_level_has_a_mark_on_every_panel() -> None:
    assert len(marks(level_chart([level(c) for c in (1, 2, 4)]))) == 9


def test_more_load_stands_further_right_and_more_throughput_higher() -> None:
    few, many = marks(level_chart([level(8, output_throughput=400.0), level(1)]))[:2]
    assert float(few["cx"]) < float(many["cx"])
    assert float(few["cy"]) > float(many["cy"])  # y grows downwards


def test_a_level_that_is_not_valid_is_an_empty_red_mark() -> None:
    [bad, *_] = marks(level_chart([level(1, valid=False, invalid_reasons=["failures"])]))
    assert (bad["fill"], bad["stroke"]) == ("#fff", "#dc2626")


def test_a_latency_that_was_not_measured_leaves_a_gap() -> None:
    assert len(marks(level_chart([level(1, mean_ttft_ms=None), level(2)]))) == 5


def test_a_workloads_name_is_text() -> None:
    svg = level_chart([level(1, workload="<script>&")])
    assert "<script>&" in [text.text for text in parts(svg, "text")]


def test_the_picture_of_a_usual_night_is_small() -> None:
    url = data_url(level_chart([level(c) for c in (1, 2, 4, 8, 16, 32)]))
    assert url.startswith("data:image/svg+xml;base64,")
    assert len(url) < 16_000


@given(st.floats(min_value=1e-6, max_value=1e9))
def test_an_axis_ends_at_a_round_number_just_above(value: float) -> None:
    top = nice_ceiling(value)
    assert value <= top * (1 + 1e-9) <= 2.6 * value
    assert round(top / 10 ** math.floor(math.log10(top) + 1e-9), 6) in (1, 2, 2.5, 5, 10)


@pytest.mark.parametrize("value", [0.0, 1.0, 10.0])
def test_an_axis_of_nothing_has_a_length(value: float) -> None:
    assert nice_ceiling(value) >= value
    assert nice_ceiling(value) > 0


def test_a_levels_name_is_text_that_xml_can_hold() -> None:
    chart = level_chart([level(1, level="c1\x1b</text><script>")])
    ElementTree.fromstring(chart)  # noqa: S314 - it is ours
    assert "<script" not in chart

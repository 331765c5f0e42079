"""The catalogue of metrics is whole, and everything that follows it does."""

from __future__ import annotations

import re

import pytest

from nightbench import metric_texts
from nightbench.errors import BadInput
from nightbench.metrics import (
    CATALOGUE,
    QUANTILES,
    SPREAD,
    better,
    headings,
    in_a_table,
    judged,
    level_columns,
    load_metrics,
    other_metrics,
    request_metrics,
    shown,
)
from nightbench.records import AccuracyResult, LoadLevel, LoadRequest, ServerRow, kinds_of

# What a level is and how it was driven, which nobody measured.
LEVEL_FACTS = {
    *("workload", "level", "measurement_key", "started_at", "max_concurrency", "request_rate"),
    *("num_prompts", "stamp_source", "valid", "invalid_reasons"),
}
UNITS = {"ms": "_ms", "s": "_s", "tokens": "_tokens", "reads": "_reads"}


def test_the_row_of_a_level_holds_what_the_catalogue_measures_of_it() -> None:
    measured = {column.name for column in level_columns()}
    assert measured | LEVEL_FACTS == set(kinds_of(LoadLevel))
    assert not measured & LEVEL_FACTS


def test_the_row_of_a_request_holds_what_the_catalogue_measures_of_it() -> None:
    fields = kinds_of(LoadRequest)
    assert {metric.name for metric in request_metrics()} <= fields.keys()
    undefined = {name for name in fields if name.endswith("_ms")}
    assert undefined <= {metric.name for metric in request_metrics()}


def test_accuracies_and_boots_are_columns_too() -> None:
    assert {m.name for m in other_metrics()} <= {*kinds_of(AccuracyResult), *kinds_of(ServerRow)}


@pytest.mark.parametrize("path", metric_texts.files(), ids=lambda path: path.name)
def test_what_sql_and_docs_say_of_metrics_is_what_the_catalogue_says(path: object) -> None:
    text = path.read_text(encoding="utf-8")  # type: ignore[attr-defined]
    assert metric_texts.renewed(text) == text, "write it again: make generated"


def test_every_metric_is_named_once_with_its_unit_and_a_definition() -> None:
    names = [metric.name for metric in CATALOGUE]
    assert len(names) == len(set(names))
    for metric in CATALOGUE:
        assert metric.name.endswith(UNITS.get(metric.unit, "")), metric.name
        assert "\n" not in metric.meaning + metric.definition + metric.of_request
    for metric in load_metrics():
        assert metric.definition or metric.of_request, metric.name


def test_only_statistics_that_are_kept_are_shown() -> None:
    for metric in load_metrics():
        for statistics in metric.shown.values():
            assert set(statistics) <= set(metric.statistics), metric.name


def test_whatever_is_drawn_over_nights_is_in_the_trend_and_what_is_tabled_has_a_heading() -> None:
    assert set(shown("nights")) <= set(shown("trend"))
    assert all(column.metric.label for column in (*in_a_table("table"), *in_a_table("page")))


def test_headings_name_a_metric_once() -> None:
    assert headings(in_a_table("table")) == [
        *("TTFT", "p95", "TPOT", "p95", "ITL p95"),
        *("tok/s", "req/s"),
    ]
    assert headings(in_a_table("page"), units=True)[:3] == ["TTFT ms", "p95", "TPOT ms"]


def test_percentiles_are_the_statistics_besides_the_mean() -> None:
    assert ("mean", *QUANTILES) == SPREAD
    for name, quantile in QUANTILES.items():
        digits = re.search(r"\d+", name)
        assert quantile == (0.5 if digits is None else int(digits[0]) / 100)


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("p95_ttft_ms", "lower"),
        ("itl_ms", "lower"),
        ("goodput", "higher"),
        ("steady_output_throughput", "higher"),
        ("accuracy", "higher"),
        ("boot_s", "lower"),
    ],
)
def test_a_metric_and_its_columns_have_a_direction(name: str, direction: str) -> None:
    assert better(name) == direction


def test_a_verdict_may_be_about_times_and_rates_and_not_about_counts() -> None:
    names = {column.name for column in judged()}
    assert {"p95_ttft_ms", "mean_itl_ms", "output_throughput", "goodput"} <= names
    assert not names & {"failed", "completed", "mean_concurrency", "client_lag_p99_ms", "accuracy"}


@pytest.mark.parametrize("name", ["speed", "peak_concurrency", "client_lag_p99_ms"])
def test_what_is_neither_good_nor_bad_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match=name):
        better(name)

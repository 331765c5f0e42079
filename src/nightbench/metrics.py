"""The catalogue of what is measured: an entry a metric, and everything else follows it.

An entry says what a metric is called, what it means, which way it is good, which statistics of it
are kept and where they are shown. The rows of `nightbench.records`, the columns and texts of sql/
and docs/metrics.md are held against it by `tests/unit/test_metric_catalogue.py`; tables, charts,
curves, intervals and importers ask it. docs/metrics.md, "Adding a metric", says what to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from nightbench.errors import BadInput

Direction = Literal["lower", "higher"]
# latency: a value a completed request. gap: values pooled over completed requests. rate: work per
# second. load: requests in flight. count: how many or how long. client: of the generator itself.
Family = Literal["latency", "gap", "rate", "load", "count", "client", "accuracy", "boot"]
# `value`: the metric itself is one number a level.
Statistic = Literal["value", "mean", "median", "p90", "p95", "p99"]
# table: `nightbench load`, and `page`, the page of a run. sentence: a line of its log. chart: its
# picture. board: curves of a dashboard. nights: its series over nights. latest, trend, compare: the
# views and the query of sql/ by these names.
Place = Literal[
    "table", "page", "sentence", "chart", "board", "nights", "latest", "trend", "compare"
]

VALUE: tuple[Statistic, ...] = ("value",)
SPREAD: tuple[Statistic, ...] = ("mean", "median", "p90", "p95", "p99")
QUANTILES: Mapping[Statistic, float] = {"median": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric. Texts are Markdown in one line.

    `meaning`: in a few words, for sql/README.md. `definition`: what one value of it is, for
    docs/metrics.md. `of_request`: the same for the column of load_requests, "" where it has none.
    `better` None: a change of it is neither good nor bad, and it is never judged.
    """

    name: str
    unit: str
    family: Family
    better: Direction | None
    meaning: str
    definition: str = ""
    of_request: str = ""
    statistics: tuple[Statistic, ...] = VALUE
    label: str = ""  # a heading where space is short
    title: str = ""  # a heading where there is more
    decimals: int = 1
    shown: Mapping[Place, Sequence[Statistic]] = field(default_factory=dict, hash=False)

    def column(self, statistic: Statistic) -> str:
        """The column of a statistic: `p95_ttft_ms`, or `goodput` for the value itself."""
        return self.name if statistic == "value" else f"{statistic}_{self.name}"


@dataclass(frozen=True, slots=True)
class Column:
    """One statistic of one metric: a column of load_levels, accuracy_results or servers."""

    metric: Metric
    statistic: Statistic

    @property
    def name(self) -> str:
        """As SQL, JSON and the rows call it."""
        return self.metric.column(self.statistic)

    @property
    def meaning(self) -> str:
        """In a few words: `95th percentile: time to first token`."""
        ordinal = self.statistic.replace("p9", "9") + "th percentile"
        words = self.statistic if self.statistic in ("mean", "median") else ordinal
        return (
            self.metric.meaning if self.statistic == "value" else f"{words}: {self.metric.meaning}"
        )

    def of(self, row: object) -> float | None:
        """Its value in a row; None where it was not measured."""
        value: float | None = getattr(row, self.name)
        return value

    def figure(self, row: object) -> str:
        """Its value in a row, for people: `51.3`, `1,234`, `–` where it was not measured."""
        value = self.of(row)
        if value is None:
            return "–"
        whole = self.metric.family in _TIMES and value >= 1000
        return f"{value:,.0f}" if whole else f"{value:,.{self.metric.decimals}f}"


_TIMES: tuple[Family, ...] = ("latency", "gap")
_ELSEWHERE: tuple[Family, ...] = ("accuracy", "boot")  # not of load_levels
_MAIN: Mapping[Place, Sequence[Statistic]] = {
    "table": ("mean", "p95"),
    "page": ("mean", "p95"),
    "sentence": ("mean", "p95"),
    "chart": ("mean",),
    "board": ("mean", "median", "p95", "p99"),
    "nights": ("p95",),
    "latest": ("mean", "median", "p95", "p99"),
    "trend": ("median", "p95"),
    "compare": ("median", "p95"),
}
_ENDS = "first sent to last output"

# The most telling first: the order in which they are shown.
CATALOGUE: tuple[Metric, ...] = (
    Metric(
        name="accuracy",
        unit="0 to 1",
        family="accuracy",
        better="higher",
        meaning="num_correct ÷ num_samples",
    ),
    Metric(
        name="accuracy_strict",
        unit="0 to 1",
        family="accuracy",
        better="higher",
        meaning="the same by the stricter extractor",
    ),
    Metric(
        name="output_throughput",
        unit="tokens/s",
        family="rate",
        better="higher",
        meaning=f"completion tokens ÷ ({_ENDS})",
        definition="output tokens of completed requests, per second of `duration_s`",
        label="tok/s",
        title="output tokens/s",
        shown=dict.fromkeys(
            ("table", "page", "sentence", "chart", "board", "nights", "latest", "trend", "compare"),
            VALUE,
        ),
    ),
    Metric(
        name="request_throughput",
        unit="requests/s",
        family="rate",
        better="higher",
        meaning=f"completed requests ÷ ({_ENDS})",
        definition="completed requests per second of `duration_s`",
        label="req/s",
        decimals=2,
        shown=dict.fromkeys(("table", "page", "board", "latest", "trend", "compare"), VALUE),
    ),
    Metric(
        name="total_token_throughput",
        unit="tokens/s",
        family="rate",
        better="higher",
        meaning=f"prompt and completion tokens ÷ ({_ENDS})",
        definition="prompt and output tokens of completed requests, per second of `duration_s`",
        shown=dict.fromkeys(("board", "latest"), VALUE),
    ),
    Metric(
        name="steady_output_throughput",
        unit="tokens/s",
        family="rate",
        better="higher",
        meaning="output_throughput from full concurrency until the first idle slot",
        definition="output tokens per second that arrived in the steady state of a closed loop: "
        "every slot busy → the first slot without a next request",
    ),
    Metric(
        name="goodput",
        unit="requests/s",
        family="rate",
        better="higher",
        meaning="requests within every given limit on ttft, tpot, e2el",
        definition="completed requests per second that meet every limit given on ttft, tpot, e2el",
        shown={"board": VALUE},
    ),
    Metric(
        name="ttft_ms",
        unit="ms",
        family="latency",
        better="lower",
        meaning="time to first token",
        of_request="first chunk that carries output − sent. Content, reasoning and tool calls are "
        "output; a chunk with only a role, or empty, is not",
        statistics=SPREAD,
        label="TTFT",
        shown=_MAIN,
    ),
    Metric(
        name="ttfat_ms",
        unit="ms",
        family="latency",
        better="lower",
        meaning="time to first answer token",
        of_request="first chunk that carries answer, after any reasoning − sent",
        statistics=SPREAD,
        label="TTFAT",
    ),
    Metric(
        name="tpot_ms",
        unit="ms",
        family="latency",
        better="lower",
        meaning="time per output token",
        of_request="(`e2el_ms` − `ttft_ms`) / (`completion_tokens` − 1); none below 2 tokens, nor "
        "where no gap was measured: an answer in one chunk, or all of it in one burst (chunks less "
        "than 0.01 ms apart on average, as behind a buffering proxy)",
        statistics=SPREAD,
        label="TPOT",
        shown=_MAIN,
    ),
    Metric(
        name="itl_ms",
        unit="ms",
        family="gap",
        better="lower",
        meaning="gap between successive tokens, pooled over requests",
        definition="gaps between successive tokens, pooled over requests; a chunk of k tokens "
        "counts as k gaps of gap / k",
        statistics=SPREAD,
        label="ITL",
        shown={"table": ("p95",), "board": ("mean", "p95"), "latest": ("mean", "p95")},
    ),
    Metric(
        name="icl_ms",
        unit="ms",
        family="gap",
        better="lower",
        meaning="gap between successive output chunks",
        definition="gaps between successive output chunks, as they arrived",
        statistics=SPREAD,
        label="ICL",
    ),
    Metric(
        name="e2el_ms",
        unit="ms",
        family="latency",
        better="lower",
        meaning="end-to-end latency",
        of_request="last chunk that carries output − sent",
        statistics=SPREAD,
        label="E2EL",
        shown={"board": ("mean", "p95"), "latest": ("mean", "p95"), "trend": ("p95",)},
    ),
    Metric(
        name="queue_ms",
        unit="ms",
        family="latency",
        better="lower",
        meaning="the client's own delay before sending",
        of_request="sent − scheduled. Never folded into the others",
        statistics=SPREAD,
        label="queue",
    ),
    Metric(
        name="mean_concurrency",
        unit="requests",
        family="load",
        better=None,
        meaning="in flight, weighted by time",
        definition="requests in flight, the mean over time",
        shown={"board": VALUE},
    ),
    Metric(
        name="peak_concurrency",
        unit="requests",
        family="load",
        better=None,
        meaning="most in flight at once",
        definition="the most requests in flight",
    ),
    Metric(
        name="littles_law_ratio",
        unit="",
        family="load",
        better=None,
        meaning="throughput × mean latency ÷ mean_concurrency; 1 within 2 % when all is well",
        definition="the sum of latencies over the time integral of requests in flight, which the "
        "generator keeps apart: 1 unless records are missing",
    ),
    Metric(
        name="completed",
        unit="requests",
        family="count",
        better=None,
        meaning="requests that ended well",
        definition="requests whose answer came whole",
        shown={"latest": VALUE},
    ),
    Metric(
        name="failed",
        unit="requests",
        family="count",
        better="lower",
        meaning="requests that did not",
        definition='requests that did not; see "Failures"',
        shown={"board": VALUE, "latest": VALUE},
    ),
    Metric(
        name="duration_s",
        unit="s",
        family="count",
        better=None,
        meaning=_ENDS,
        definition="first request sent → last output",
        shown={"latest": VALUE},
    ),
    Metric(
        name="prompt_tokens",
        unit="tokens",
        family="count",
        better=None,
        meaning="tokens of the prompts, from usage",
        definition="tokens of the prompts of completed requests, by `usage`",
        of_request="tokens of its prompt, by `usage`",
    ),
    Metric(
        name="cached_tokens",
        unit="tokens",
        family="count",
        better=None,
        meaning="prompt tokens the server had in its prefix cache",
        definition="prompt tokens found in the server's prefix cache: by `usage`, else by the "
        "server's own counters, where those can be believed",
        of_request="of them, found in the server's prefix cache",
    ),
    Metric(
        name="completion_tokens",
        unit="tokens",
        family="count",
        better=None,
        meaning="tokens generated, from usage",
        definition='tokens that completed requests generated; see "Tokens of a chunk"',
        of_request="tokens it generated; see below",
    ),
    Metric(
        name="client_lag_p50_ms",
        unit="ms",
        family="client",
        better=None,
        meaning="median of the client's own lag behind the kernel's stamps",
        definition="read − arrival over all reads, the generator's measured lag: its median",
    ),
    Metric(
        name="client_lag_p99_ms",
        unit="ms",
        family="client",
        better=None,
        meaning="its 99th percentile",
        definition="its 99th percentile",
    ),
    Metric(
        name="client_lag_max_ms",
        unit="ms",
        family="client",
        better=None,
        meaning="its maximum",
        definition="its maximum",
        of_request="the most the generator's loop was behind the kernel on a read of it",
    ),
    Metric(
        name="client_cpu_s",
        unit="s",
        family="client",
        better=None,
        meaning="CPU time of the generator",
        definition="processor time of the generator's processes, from the end of the warm-up on",
    ),
    Metric(
        name="coalesced_reads",
        unit="reads",
        family="client",
        better=None,
        meaning="reads that brought several chunks at once",
        definition="reads that held more than one output chunk",
        of_request="reads that held more than one output chunk",
    ),
    Metric(
        name="connect_ms",
        unit="ms",
        family="latency",
        better=None,
        meaning="opening the connection, apart from all else",
        of_request="how long its connection took to open, where it was the first on it; never "
        "part of a latency",
        statistics=(),
    ),
    Metric(
        name="ttft_bound_ms",
        unit="ms",
        family="client",
        better=None,
        meaning="how much earlier the first token may have come (several chunks in one read)",
        of_request="where the first chunk shared its read: how much earlier it may have come",
        statistics=(),
    ),
    Metric(
        name="boot_s",
        unit="s",
        family="boot",
        better="lower",
        meaning="launch until the first real answer",
    ),
    Metric(
        name="boot_process_s",
        unit="s",
        family="boot",
        better="lower",
        meaning="launch until the process listens",
    ),
    Metric(
        name="boot_weights_s", unit="s", family="boot", better="lower", meaning="loading weights"
    ),
    Metric(
        name="boot_compile_s",
        unit="s",
        family="boot",
        better="lower",
        meaning="compiling and capturing graphs",
    ),
    Metric(
        name="boot_first_answer_s",
        unit="s",
        family="boot",
        better="lower",
        meaning="healthy until the first real answer",
    ),
)


def load_metrics(*families: Family) -> Iterator[Metric]:
    """What a load measures, of these families or of all."""
    return (
        metric
        for metric in CATALOGUE
        if metric.family not in _ELSEWHERE and (not families or metric.family in families)
    )


def other_metrics() -> tuple[Metric, ...]:
    """What is measured beside load: accuracies and boots."""
    return tuple(metric for metric in CATALOGUE if metric.family in _ELSEWHERE)


def level_columns() -> tuple[Column, ...]:
    """Every measured column of load_levels."""
    return tuple(Column(metric, one) for metric in load_metrics() for one in metric.statistics)


def request_metrics() -> tuple[Metric, ...]:
    """Every measured column of load_requests."""
    return tuple(metric for metric in load_metrics() if metric.of_request)


def distributions(family: Family) -> tuple[Metric, ...]:
    """The metrics of a family that have a mean and percentiles, and intervals of them."""
    return tuple(metric for metric in load_metrics(family) if metric.statistics == SPREAD)


def judged() -> tuple[Column, ...]:
    """The columns of load_levels that a verdict may be about: times and rates with a direction."""
    kinds = (*_TIMES, "rate")
    columns = level_columns()
    return tuple(c for c in columns if c.metric.better and c.metric.family in kinds)


def shown(place: Place) -> tuple[Column, ...]:
    """What a place shows of a level, the most telling first."""
    return tuple(
        Column(metric, one) for metric in load_metrics() for one in metric.shown.get(place, ())
    )


def in_a_table(place: Place) -> tuple[Column, ...]:
    """What a place shows of a level in a row of figures: times first, then rates."""
    return tuple(sorted(shown(place), key=lambda column: column.metric.family not in _TIMES))


def headings(columns: Sequence[Column], *, units: bool = False) -> list[str]:
    """The headings of columns side by side: `TTFT` for a mean, then `p95` of the same."""
    found: list[str] = []
    for before, column in zip((None, *columns), columns, strict=False):
        metric, statistic = column.metric, column.statistic
        label = (
            f"{metric.label} {metric.unit}" if units and metric.family in _TIMES else metric.label
        )
        if statistic in ("value", "mean"):
            found.append(label)
        elif before is not None and before.metric is metric:
            found.append(statistic)
        else:
            found.append(f"{label} {statistic}")
    return found


def better(name: str) -> Direction:
    """Which way a metric, or a column of one, is good.

    Raises:
        BadInput: it is in no catalogue, or neither way is good: a guessed direction turns every
            regression into an improvement.
    """
    for metric in CATALOGUE:
        columns = (metric.column(statistic) for statistic in metric.statistics)
        if metric.better is not None and name in (metric.name, *columns):
            return metric.better
    raise BadInput(
        f"nobody has said whether a higher or a lower {name!r} is better",
        hint="Name a metric of docs/metrics.md that has a direction.",
    )

"""The rows that the parts hand each other: the columns of sql/, in order.

A row says what was measured; the spool folder it lies in says for which run and target. So no row
carries `run_id`, `target`, `night` or `hardware_class`: landing adds those four from the folder's
manifest. Only what is said about a run afterwards, verdicts and annotations, names its target: one
folder holds it for all of them. Times of day are UTC. `None` means "not measured" or "not defined",
never zero.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One execution of a suite. `status`: completed, failed, cancelled or crashed."""

    suite: str
    suite_digest: str
    status: str
    trigger: str  # cli, ui, schedule
    started_at: datetime
    ended_at: datetime | None = None
    error: str | None = None
    flow_run_id: str | None = None
    nightbench_version: str = ""
    git_commit: str | None = None
    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRow:
    """One target in one run. `status`: completed, failed, skipped, cancelled or crashed."""

    model: str
    served_model_name: str
    engine_kind: str
    engine_version: str | None = None
    config_digest: str = ""
    status: str
    error: str | None = None
    started_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRow:
    """One launch of a server: what was started, how it came up, how it went."""

    launch: int
    engine_kind: str
    engine_version: str | None
    argv: list[str]
    env: str  # JSON object, secrets redacted
    base_url: str
    pid: int | None
    started_at: datetime
    boot_s: float | None = None
    boot_process_s: float | None = None
    boot_weights_s: float | None = None
    boot_compile_s: float | None = None
    boot_first_answer_s: float | None = None
    stopped_at: datetime | None = None
    exit_reason: str | None = None  # stopped, boot_failed, boot_timeout, died, hung, cancelled
    exit_code: int | None = None
    teardown_s: float | None = None
    teardown_clean: bool | None = None
    teardown_detail: str | None = None
    log_path: str | None = None
    log_tail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenanceRow:
    """One fact about what was measured on: `name` (driver_version …) and `value` as text."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyResult:
    """One benchmark's score, over all of it (`subset` = "all") or over one subset."""

    benchmark: str
    subset: str
    measurement_key: str
    started_at: datetime
    duration_s: float
    num_samples: int  # answers asked for: questions x repeats
    num_questions: int
    repeats: int
    num_failed: int  # requests without a reply; they count as wrong
    num_correct: float
    accuracy: float
    ci_low: float
    ci_high: float
    accuracy_strict: float
    disagreements: int  # samples where correct and correct_strict differ
    extraction_failed: int
    truncated: int
    max_concurrency: int
    prompt_tokens: int
    completion_tokens: int
    data_digest: str
    valid: bool
    invalid_reasons: list[str]
    pass_at_k: list[float] | None = None  # pass@1, pass@2, … as far as every question was repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracySample:
    """One question, its n-th repeat, what came back and how it was scored."""

    benchmark: str
    subset: str
    sample_id: str
    repeat: int
    prompt_hash: str
    question: str
    reply: str | None
    reasoning: str | None
    extracted: str | None
    extracted_strict: str | None
    gold: str
    correct: bool
    correct_strict: bool
    extraction_failed: bool
    truncated: bool
    finish_reason: str | None
    error_kind: str | None
    error: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    reasoning_tokens: int | None
    latency_ms: float | None  # of the last try
    retries: int
    asked_at: datetime
    total_latency_ms: float | None = None  # from the first try on, waits between tries included


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadLevel:
    """One load step: the metrics of docs/metrics.md. Exactly one of max_concurrency, request_rate
    says how it was driven (an open loop may also be capped by max_concurrency)."""

    workload: str
    level: str  # "c4" for max_concurrency 4, "r2.5" for request_rate 2.5, "rinf"
    measurement_key: str
    started_at: datetime
    max_concurrency: int | None
    request_rate: float | None
    num_prompts: int
    completed: int
    failed: int
    duration_s: float
    prompt_tokens: int
    cached_tokens: int | None
    completion_tokens: int
    request_throughput: float
    output_throughput: float
    total_token_throughput: float
    steady_output_throughput: float | None
    goodput: float | None
    peak_concurrency: int
    mean_concurrency: float  # time-weighted, of requests in flight
    littles_law_ratio: float | None  # throughput x mean latency / mean_concurrency
    mean_ttft_ms: float | None
    median_ttft_ms: float | None
    p90_ttft_ms: float | None
    p95_ttft_ms: float | None
    p99_ttft_ms: float | None
    mean_ttfat_ms: float | None
    median_ttfat_ms: float | None
    p90_ttfat_ms: float | None
    p95_ttfat_ms: float | None
    p99_ttfat_ms: float | None
    mean_tpot_ms: float | None
    median_tpot_ms: float | None
    p90_tpot_ms: float | None
    p95_tpot_ms: float | None
    p99_tpot_ms: float | None
    mean_itl_ms: float | None
    median_itl_ms: float | None
    p90_itl_ms: float | None
    p95_itl_ms: float | None
    p99_itl_ms: float | None
    mean_icl_ms: float | None
    median_icl_ms: float | None
    p90_icl_ms: float | None
    p95_icl_ms: float | None
    p99_icl_ms: float | None
    mean_e2el_ms: float | None
    median_e2el_ms: float | None
    p90_e2el_ms: float | None
    p95_e2el_ms: float | None
    p99_e2el_ms: float | None
    mean_queue_ms: float | None
    median_queue_ms: float | None
    p90_queue_ms: float | None
    p95_queue_ms: float | None
    p99_queue_ms: float | None
    client_lag_p50_ms: float | None
    client_lag_p99_ms: float | None
    client_lag_max_ms: float | None
    client_cpu_s: float | None
    coalesced_reads: int
    stamp_source: str  # kernel, user, mixed
    valid: bool
    invalid_reasons: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadInterval:
    """The 95 % interval of one statistic of one level. Not estimable: too few requests for the
    order-statistic interval to exist; the value is shown and never judged."""

    workload: str
    level: str
    metric: str  # ttft_ms …
    statistic: str  # median, p90, p95, p99, mean
    value: float | None
    ci_low: float | None
    ci_high: float | None
    estimable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest:
    """One call made under load. `*_us` are microseconds since the level started."""

    workload: str
    level: str
    request_index: int
    prompt_hash: str
    scheduled_us: int
    sent_us: int | None
    first_chunk_us: int | None  # first output of any kind
    first_answer_us: int | None
    last_chunk_us: int | None
    connect_ms: float | None
    ttft_ms: float | None
    ttfat_ms: float | None
    tpot_ms: float | None
    e2el_ms: float | None
    queue_ms: float | None
    client_lag_max_ms: float | None
    ttft_bound_ms: float | None  # how much earlier the first token may have come (coalesced read)
    coalesced_reads: int
    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None
    reasoning_tokens: int | None
    token_source: str  # usage, continuous_usage, chunks, usage_contradicted
    finish_reason: str | None
    http_status: int | None
    error_kind: str | None
    error: str | None
    chunk_deltas_us: list[int]  # output chunk arrivals: the first since sent, then gaps
    chunk_tokens: list[int]
    resent: bool = False  # once more, on a fresh connection: the one before was closed already


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryRow:
    """One reading of one counter while a server was up."""

    read_at: datetime
    source: str  # gpu0 …, host, server
    name: str  # with its unit: utilization_percent, memory_bytes, requests_running …
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherValue:
    """One metric of one level measured again because it looked wrong. `kind`: rep (the same boot
    once more), fresh (a fresh boot) or ref (a fresh boot of the accepted configuration); or old:
    asked as the run before asked it, since tonight asks something else. `number` counts each from
    1."""

    kind: str
    number: int
    workload: str
    level: str
    measurement_key: str
    metric: str
    value: float | None
    valid: bool
    measured_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRow:
    """What was decided about one target in one run: a row for its speed under load (`metric` is
    what spoke loudest, "" where nothing did) and one for each benchmark (accuracy). `verdict`:
    ok, inconclusive, regressed, improved, recovered, node, invalid, starved, method changed or not
    measured. Judged again, a run gets further rows: the newest `judged_at` counts."""

    target: str
    hardware_class: str | None
    measurement_key: str
    name: str  # the benchmark or workload; "" where none spoke
    subset_or_level: str
    metric: str  # the column that was judged: accuracy, p95_ttft_ms …
    verdict: str
    value: float | None = None
    baseline: float | None = None
    relative_change: float | None = None
    p_value: float | None = None
    since: date | None = None  # first night of the change
    detail: str | None = None  # the verdict in a sentence
    judged_at: datetime
    node: str | None = None
    size_pct: float | None = None  # plain per cent, positive is worse
    lo_pct: float | None = None
    hi_pct: float | None = None
    event: str | None = None  # the open (or, recovered, the closed) event
    event_kind: str | None = None  # regressed, improved or node
    notice: bool | None = None  # certain tonight; one night cannot yet tell target from node
    is_new: bool | None = None  # fewer nights than it takes to be held against
    more_nights: int | None = None  # until it would be settled
    touched: list[str] | None = None  # every series that moved with it
    changed: str | None = None  # what of the provenance changed as it began


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationRow:
    """What a person said about a series of a target, or about all of them where no name, level,
    metric or key is given. `kind`: accepted (a shift that starts a new baseline), refused (it stays
    open), acknowledged (somebody has taken an event on; quiet until a date) or note; or, by
    nightbench alone, accepted by itself (a configuration that makes no difference)."""

    target: str
    hardware_class: str | None = None
    measurement_key: str | None = None
    name: str | None = None
    subset_or_level: str | None = None
    metric: str | None = None
    kind: str
    reason: str
    author: str | None = None
    made_at: datetime
    event: str | None = None
    owner: str | None = None
    ticket: str | None = None
    quiet_until: date | None = None


def kinds_of(row_type: type) -> Mapping[str, tuple[Any, bool]]:
    """Field name → (type without None, may be None), in the order of a row's fields."""
    return _kinds_of(row_type)


@cache
def _kinds_of(row_type: type) -> Mapping[str, tuple[Any, bool]]:
    kinds = {}
    for name, hint in typing.get_type_hints(row_type).items():
        parts = typing.get_args(hint) if isinstance(hint, UnionType) else (hint,)
        kinds[name] = (next(part for part in parts if part is not NoneType), NoneType in parts)
    return kinds


MeasuredRow = TypeVar("MeasuredRow", AccuracyResult, LoadLevel)


# The served engine did not get what it was leased.
HOST_STARVED = "host_starved"


def marked_invalid_for(row: MeasuredRow, reasons: Iterable[str | None]) -> MeasuredRow:
    """The row, invalid for each of these reasons that is one."""
    for reason in reasons:
        row = marked_invalid(row, reason)
    return row


def marked_invalid(row: MeasuredRow, trouble: str | None) -> MeasuredRow:
    """The row, invalid for what happened to its server meanwhile (`server_died`, `server_hung`)."""
    if trouble is None or trouble in row.invalid_reasons:
        return row
    return replace(row, valid=False, invalid_reasons=[*row.invalid_reasons, trouble])

"""Whether a level may be believed, and if not, why not (docs/metrics.md, "Validity")."""

from __future__ import annotations

from dataclasses import dataclass

CLIENT_SHARE = 0.05  # of the median ttft or tpot, by the generator's own delay
SEND_SHARE = 0.10  # of the median ttft, by late sends at p99 of an open loop
SLOT_SHARE = 0.02  # of a closed loop's slots, waiting for the generator to send
HIDDEN_SHARE = 0.05  # of output chunks whose arrival the generator's own delay hid
CLIENT_CPU_SHARE = 0.1  # of the machine's cores by the generator, with less left idle than
IDLE_SHARE = 0.2  # of them, or than it takes itself: it fights a server beside it
RATE_SHARE = 0.02
CONCURRENCY_SHARE = 0.05
CACHE_SHARE = 0.01
FAILURE_SHARE = 0.01
EMPTY_SHARE = 0.01
CONTRADICTED_SHARE = 0.01  # of the output tokens, by how much usage and chunks differ
SHORT_SHARE = 0.01
FEWEST_REQUESTS = 6  # below it not even the median has an interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the verdict is drawn from. Times in ms; None: not measured."""

    num_prompts: int
    completed: int
    failed: int
    max_concurrency: int | None
    peak_concurrency: int
    median_ttft_ms: float | None
    median_tpot_ms: float | None
    ttft_residual_ms: float  # median of what coalesced first reads leave open
    tpot_residual_ms: float
    p99_queue_ms: float | None
    idle_slot_share: float  # of the time of slots, between an answer's end and the next request
    hidden_chunk_share: float
    host_busy_share: float | None
    client_cpu_share: float
    wanted_rate: float | None  # requests per second of the schedule that was drawn
    achieved_rate: float | None
    cached_tokens: int | None  # above the chat template's floor
    prompt_tokens: int
    shares_prefix: bool
    short_outputs: int
    empty_answers: int
    contradicted_share: float
    fixed_length: bool
    clock_jumped: bool
    prompts_exhausted: bool
    stopped: str | None


def invalid_reasons(evidence: Evidence) -> list[str]:
    """Every reason not to believe a level; none of them: it is valid."""
    checks = (
        (evidence.stopped or "stopped", evidence.stopped is not None),
        ("too_few_requests", evidence.completed < FEWEST_REQUESTS),
        ("failures", evidence.failed > FAILURE_SHARE * max(evidence.num_prompts, 1)),
        ("client_lag", _client_lag(evidence)),
        ("host_contention", _host_contention(evidence)),
        ("rate_missed", _rate_missed(evidence)),
        ("concurrency_not_reached", _concurrency_not_reached(evidence)),
        ("prompts_exhausted", evidence.prompts_exhausted),
        ("prefix_cache_hits", _prefix_cache_hits(evidence)),
        ("empty_answers", evidence.empty_answers > EMPTY_SHARE * max(evidence.completed, 1)),
        ("usage_contradicted", evidence.contradicted_share > CONTRADICTED_SHARE),
        ("short_outputs", _short_outputs(evidence)),
        ("clock_jump", evidence.clock_jumped),
    )
    return [reason for reason, holds in checks if holds]


def _client_lag(evidence: Evidence) -> bool:
    ttft, tpot = evidence.median_ttft_ms, evidence.median_tpot_ms
    return (
        (ttft is not None and evidence.ttft_residual_ms > CLIENT_SHARE * ttft)
        or (tpot is not None and evidence.tpot_residual_ms > CLIENT_SHARE * tpot)
        or _sent_late(evidence)
        or evidence.hidden_chunk_share > HIDDEN_SHARE
    )


def _sent_late(evidence: Evidence) -> bool:
    """An open loop's requests belong at their moments. A closed loop's belong to no moment: late
    ones make its concurrency a little less than asked for, and that by how much they are late."""
    if evidence.max_concurrency is not None:
        return evidence.idle_slot_share > SLOT_SHARE
    ttft, late = evidence.median_ttft_ms, evidence.p99_queue_ms
    return ttft is not None and late is not None and late > SEND_SHARE * ttft


def _host_contention(evidence: Evidence) -> bool:
    busy, client = evidence.host_busy_share, evidence.client_cpu_share
    if busy is None or client <= CLIENT_CPU_SHARE:
        return False
    return 1 - busy < max(IDLE_SHARE, client)


def _rate_missed(evidence: Evidence) -> bool:
    wanted, achieved = evidence.wanted_rate, evidence.achieved_rate
    if wanted is None or achieved is None:
        return False
    return abs(achieved / wanted - 1) > RATE_SHARE


def _concurrency_not_reached(evidence: Evidence) -> bool:
    wanted = evidence.max_concurrency
    return wanted is not None and evidence.peak_concurrency < wanted * (1 - CONCURRENCY_SHARE)


def _prefix_cache_hits(evidence: Evidence) -> bool:
    if evidence.shares_prefix or evidence.cached_tokens is None:
        return False
    return evidence.cached_tokens > CACHE_SHARE * max(evidence.prompt_tokens, 1)


def _short_outputs(evidence: Evidence) -> bool:
    return evidence.fixed_length and evidence.short_outputs > SHORT_SHARE * evidence.completed

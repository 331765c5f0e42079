"""What was just measured, in one line: what the log of a run says after each step."""

from __future__ import annotations

from nightbench.metrics import Column, shown
from nightbench.records import AccuracyResult, LoadLevel, ServerRow
from nightbench.terminal_text import safe_line


def accuracy_sentence(row: AccuracyResult) -> str:
    """`starter: 55.5 % correct (47 to 64), 128 samples, 21 unparsed, 78 truncated`."""
    parts = [
        f"{row.accuracy * 100:.1f} % correct ({row.ci_low * 100:.0f} to {row.ci_high * 100:.0f})",
        f"{row.num_samples} samples",
    ]
    counts = {
        "without a reply": row.num_failed,
        "unparsed": row.extraction_failed,
        "truncated": row.truncated,
    }
    parts += [f"{count} {what}" for what, count in counts.items() if count]
    return f"{safe_line(row.benchmark)}: {', '.join(parts)}{_invalid(row)}"


def level_sentence(row: LoadLevel) -> str:
    """`chat c4: 112.2 tokens/s, TTFT 189.0 ms (p95 243.6), TPOT 30.6 ms (p95 33.7), 8 requests`."""
    requests = f"{row.completed} requests" + (f", {row.failed} failed" if row.failed else "")
    return (
        f"{safe_line(row.workload)} {row.level}: {', '.join(_figures(row))}, "
        f"{requests}{_invalid(row)}"
    )


def _figures(row: LoadLevel) -> list[str]:
    """`112.2 tokens/s`, `TTFT 189.0 ms (p95 243.6)`: each metric with its statistics."""
    by_metric: dict[str, list[Column]] = {}
    for column in shown("sentence"):
        by_metric.setdefault(column.metric.name, []).append(column)
    return [_figure(row, *columns) for columns in by_metric.values()]


def _figure(row: LoadLevel, first: Column, *others: Column) -> str:
    what = f"{first.metric.label} " if first.statistic != "value" else ""
    more = ", ".join(f"{column.statistic} {column.figure(row)}" for column in others)
    return f"{what}{first.figure(row)} {first.metric.unit}" + (f" ({more})" if more else "")


def boot_sentence(row: ServerRow | None, hardware_class: str | None) -> str:
    """`vllm 0.32.0 ready after 35 s on AMD EPYC x2; its log is …`."""
    if row is None:
        return "the external server is ready"
    took = "" if row.boot_s is None else f" after {row.boot_s:.0f} s"
    return (
        safe_line(f"{row.engine_kind} {row.engine_version or ''}")
        + f" ready{took} on {hardware_class or 'this machine'}"
        + (f"; its log is {row.log_path}" if row.log_path else "")
    )


def _invalid(row: AccuracyResult | LoadLevel) -> str:
    return "" if row.valid else f" - NOT VALID: {', '.join(row.invalid_reasons)}"

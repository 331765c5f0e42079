"""What a night's message says: values in, text out."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby

from nightbench.dashboards.run_page import Pointer, duration
from nightbench.history.run_results import RunResults, TargetResults
from nightbench.records import LoadLevel, VerdictRow
from nightbench.terminal_text import safe_line
from nightbench.verdicts.concern import concern, in_order_of_concern

MAX_LINE_CHARS = 300
MAX_BODY_CHARS = 8000
_LINK = re.compile(r"\]\(")  # of markdown, which some channels render
_GOOD, _BAD, _DOUBTFUL = "✅", "❌", "⚠️"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: plain text, read by people."""

    subject: str
    body: str


def morning_message(
    results: RunResults,
    *,
    pointers: Sequence[Pointer] = (),
    quiet: Collection[str] = (),
) -> Message:
    """One night in one message: what it means, what ran, what failed, what was skipped.

    Args:
        results: the run as it was landed.
        pointers: where to look further.
        quiet: events that somebody has taken on, until some date: told, and no news.
    """
    regressed, others = _verdict_lines(results.verdicts, quiet)
    ran = [t for t in results.targets if t.row.status == "completed"]
    skipped = _skipped_lines(results)
    failed = [t for t in results.targets if t.row.status not in ("completed", "skipped")]
    bad_end = _bad_end(results, failed)
    counts = [
        f"{len(ran)} measured" if ran else "",
        f"{len(failed)} failed" if failed else bad_end,
        f"{len(skipped)} skipped" if skipped else "",
        f"{len(regressed)} regressed" if regressed else "",
    ]
    mark = _BAD if failed or bad_end or regressed else _DOUBTFUL if _doubtful(results) else _GOOD
    remarks = _remarks(results)
    doubts = any(concern(row) == "doubtful" for row in results.verdicts)
    if (skipped or remarks or doubts) and mark == _GOOD:
        mark = _DOUBTFUL
    parts = [
        _block("Regressed", regressed),
        _block("Verdicts", others),
        _block("Failed", [*map(_failed_line, failed), *([bad_end] if bad_end else [])]),
        _block("Skipped", skipped),
        _block("Remarks", remarks),
        _block("Measured", [line for target in ran for line in _measured_lines(target)]),
        "\n".join([_when(results), *map(_pointer, pointers)]),
    ]
    what = ", ".join(filter(None, counts)) or "nothing measured"
    return Message(
        subject=safe_line(f"{mark} {_name(results)}: {what}", max_chars=MAX_LINE_CHARS),
        body=_cut("\n\n".join(filter(None, parts))),
    )


def _verdict_lines(
    verdicts: Sequence[VerdictRow], quiet: Collection[str]
) -> tuple[list[str], list[str]]:
    """What is worse and nobody's yet; and everything else that is not as it was."""
    worse = [
        row.detail or row.verdict
        for row in in_order_of_concern(verdicts)
        if concern(row) == "bad" and row.event not in quiet
    ]
    others = [
        (row.detail or row.verdict) + (" (acknowledged)" if row.event in quiet else "")
        for row in in_order_of_concern(verdicts)
        if concern(row) in ("doubtful", "good") or (concern(row) == "bad" and row.event in quiet)
    ]
    return worse, others


def trouble_message(suite: str, error: str, pointers: Sequence[Pointer] = ()) -> Message:
    """A night that ended before it had results."""
    lines = [_said(line) for line in error.splitlines()[:12]]
    return Message(
        subject=safe_line(f"{_BAD} {suite}: the night ended without results", max_chars=200),
        body=_cut("\n".join([*lines, "", *map(_pointer, pointers)]).strip()),
    )


def _name(results: RunResults) -> str:
    row = results.row
    return results.run_id if row is None else f"{row.suite} on {row.host}"


def _bad_end(results: RunResults, failed: Sequence[TargetResults]) -> str:
    """How the run itself ended, where no target tells it."""
    status = results.row.status if results.row else "crashed"
    return "" if failed or status == "completed" else f"the run {status}"


def _remarks(results: RunResults) -> list[str]:
    """What went wrong beside the measuring, where nothing else says how the run went."""
    row = results.row
    told = row.error if row is not None and row.status == "completed" else None
    return [told.splitlines()[0]] if told else []


def _doubtful(results: RunResults) -> bool:
    return any(
        target.row.status == "skipped" or not all(_validities(target)) for target in results.targets
    )


def _validities(target: TargetResults) -> list[bool]:
    return [row.valid for row in target.accuracy] + [row.valid for row in target.levels]


def _failed_line(target: TargetResults) -> str:
    error = (target.row.error or "no error message").strip().splitlines()[0]
    status = "" if target.row.status == "failed" else f" ({target.row.status})"
    return f"{target.target}{status}: {error}"


def _skipped_lines(results: RunResults) -> list[str]:
    """What was left out, targets and stages; a target of which only its row is known says less."""
    known = {skipped.target for skipped in results.skipped if skipped.stage is None}
    return [
        *map(str, results.skipped),
        *(
            f"{target.target} was skipped"
            for target in results.targets
            if target.row.status == "skipped" and target.target not in known
        ),
    ]


def _measured_lines(target: TargetResults) -> list[str]:
    accuracies = [
        f"{row.benchmark} {row.accuracy * 100:.1f} % "
        f"({row.ci_low * 100:.0f} to {row.ci_high * 100:.0f})" + _doubts(row.invalid_reasons)
        for row in target.accuracy
        if row.subset == "all"
    ]
    loads = [
        _load(workload, list(levels))
        for workload, levels in groupby(target.levels, key=lambda level: level.workload)
    ]
    return [f"{target.target}: {line}" for line in (*accuracies, *loads)] or [target.target]


def _load(workload: str, levels: list[LoadLevel]) -> str:
    best = max(levels, key=lambda level: (level.valid, level.output_throughput))
    ttft = "" if best.mean_ttft_ms is None else f", TTFT {best.mean_ttft_ms:,.0f} ms"
    invalid = sorted({reason for level in levels for reason in level.invalid_reasons})
    return (
        f"{workload} up to {best.output_throughput:,.1f} tokens/s at {best.level}{ttft}"
        + _doubts(invalid)
    )


def _doubts(reasons: Sequence[str]) -> str:
    return f" - not all valid: {', '.join(reasons)}" if reasons else ""


def _when(results: RunResults) -> str:
    row = results.row
    if row is None:
        return f"Run {results.run_id}"
    took = "" if row.ended_at is None else f", took {duration(row.ended_at - row.started_at)}"
    return f"Started {row.started_at:%Y-%m-%d %H:%M} UTC{took}. Run {results.run_id}"


def _pointer(pointer: Pointer) -> str:
    return f"{pointer.what}: {pointer.url or pointer.typed}"


def _block(title: str, lines: Sequence[str]) -> str:
    """A titled list, empty where there is nothing to list."""
    if not lines:
        return ""
    return "\n".join([title, *(f"• {_said(line)}" for line in lines)])


def _said(line: str) -> str:
    """A line that may hold a server's words: no link in it is behind another text."""
    return _LINK.sub("] (", safe_line(line, max_chars=MAX_LINE_CHARS))


def _cut(body: str) -> str:
    return body if len(body) <= MAX_BODY_CHARS else f"{body[: MAX_BODY_CHARS - 2]}\n…"

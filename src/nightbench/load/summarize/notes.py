"""What is said of a level once, beside its numbers: how its server answers, not how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightbench.load.prefix_cache import CacheUse

if TYPE_CHECKING:
    from nightbench.load.summarize.level_rows import Finished, Parsed


def notes_of(finished: Finished, parsed: Parsed) -> tuple[str, ...]:
    """A sentence for each thing that whoever runs the server should know."""
    kept_open = sum(report.kept_open for report in finished.reports)
    resent = sum(report.resent for report in finished.reports)
    notes = [
        (kept_open, f"{_times(kept_open, 'response')} stayed open after the end of the output"),
        (
            resent,
            f"{_times(resent, 'request')} hit a connection that the server had already closed and "
            "was sent again on a fresh one: ttft counts from the first attempt",
        ),
        (
            parsed.foreign,
            f"{_times(parsed.foreign, 'event')} that are not part of a completion were ignored",
        ),
        (
            parsed.contradicted,
            f"usage contradicts the received output in {_times(parsed.contradicted, 'response')}: "
            "the received output was counted",
        ),
    ]
    found = [note for count, note in notes if count]
    return (*found, *_about_cache(finished.cache), *_about_warmup(parsed.warmup_errors))


def _about_cache(cache: CacheUse | None) -> list[str]:
    if cache is None or cache.problem is None:
        return []
    return [f"the server's prefix-cache counters are not used: {cache.problem}"]


def _about_warmup(errors: dict[str, str]) -> list[str]:
    return [f"the warm-up failed: {kind}: {said}" for kind, said in errors.items()]


def _times(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"

"""Samples as a person reads them in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, get_args

from rich.text import Text

from nightbench.records import AccuracySample
from nightbench.terminal_text import safe_line, safe_text

Which = Literal["wrong", "right", "unparsed", "truncated", "failed", "disputed", "all"]
WHICH: tuple[str, ...] = get_args(Which)
REPLY_CHARS = 1200

_CHOSEN: dict[Which, Callable[[AccuracySample], bool]] = {
    "wrong": lambda sample: not sample.correct,
    "right": lambda sample: sample.correct,
    "unparsed": lambda sample: sample.reply is not None and sample.extraction_failed,
    "truncated": lambda sample: sample.truncated,
    "failed": lambda sample: sample.reply is None,
    "disputed": lambda sample: sample.correct != sample.correct_strict,
    "all": lambda sample: True,
}


def chosen_samples(samples: Iterable[AccuracySample], which: Which) -> Iterator[AccuracySample]:
    """The samples of one kind; `disputed` are those the two scores differ on."""
    return filter(_CHOSEN[which], samples)


def sample_text(sample: AccuracySample) -> Text:
    """One sample: its question, what was replied, and how that was read."""
    mark, style = ("right", "green") if sample.correct else ("wrong", "red")
    text = Text()
    text.append(f"{safe_line(sample.benchmark)} {safe_line(sample.sample_id)}", style="bold cyan")
    text.append(f" #{sample.repeat}  " if sample.repeat else "  ")
    text.append(mark, style=f"bold {style}")
    text.append(f"  {_reading(sample)}\n", style="dim")
    text.append(safe_text(sample.question, max_chars=REPLY_CHARS) + "\n")
    if sample.reply is None:
        kind = safe_line(sample.error_kind or "")
        text.append(f"{kind}: {safe_line(sample.error or '')}\n", style="red")
    else:
        text.append(_indented(safe_text(sample.reply, max_chars=REPLY_CHARS)), style="yellow")
    return text


def change_text(before: AccuracySample, after: AccuracySample) -> Text:
    """One question that was answered otherwise before: how now, then how before."""
    text = sample_text(after)
    mark = "right" if before.correct else "wrong"
    text.append(f"  before: {mark}, {_reading(before)}\n", style="dim")
    if before.reply is not None:
        reply = safe_text(before.reply, max_chars=REPLY_CHARS)
        text.append(_indented(reply), style="dim")
    return text


def _reading(sample: AccuracySample) -> str:
    def said(value: str | None) -> str:
        return "no answer" if value is None else safe_line(value, max_chars=60)

    parts = [f"gold {said(sample.gold)}", f"read as {said(sample.extracted)}"]
    if sample.extracted_strict != sample.extracted:
        parts.append(f"strictly {said(sample.extracted_strict)}")
    if sample.truncated:
        parts.append("truncated at max_tokens")
    return ", ".join(parts)


def _indented(text: str) -> str:
    return "".join(f"  │ {line}\n" for line in text.split("\n"))

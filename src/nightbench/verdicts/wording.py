"""A verdict in one plain sentence: what a terminal, a page and a message lead with."""

from __future__ import annotations

from datetime import date

from nightbench.verdicts.night_replay import Change, Judged

_MINUS = "−"
ACCEPTED_ITSELF = "its configuration made no difference on three nights and is accepted by itself"
_LABELS = {
    "output_throughput": "output tok/s",
    "total_token_throughput": "tok/s",
    "request_throughput": "requests/s",
    "steady_output_throughput": "steady output tok/s",
}


def sentence(judged: Judged, tonight: date, changed: str = "") -> str:
    """One sentence about one target. `changed`: what its provenance changed by when it began."""
    said = _said(judged, tonight, changed)
    if judged.accepted_itself:
        said += f"; {ACCEPTED_ITSELF}"
    asked = ", ".join(judged.asked_anew)
    if asked and judged.word != "method changed":
        said += f"; {_asked_anew(judged)}"
    if judged.open_kind in ("regressed", "improved") and judged.word not in (
        "regressed", "improved", "recovered", "inconclusive",
    ):  # fmt: skip
        said += f"; it is still {judged.open_kind} {_since(judged.since, tonight)}"
    return f"{judged.target} {said}"


def _said(judged: Judged, tonight: date, changed: str) -> str:
    why = ", ".join(judged.reasons)
    if judged.word in ("regressed", "improved"):
        return _event(judged, tonight, changed)
    if judged.word == "inconclusive":
        return _inconclusive(judged, tonight, changed)
    if judged.word == "node":
        pct = judged.node_pct or 0.0
        slower = "slower" if pct > 0 else "faster"
        return (
            f"did not change by itself: all of {judged.node or 'its machine'} is "
            f"{abs(pct):.1f} % {slower} {_since(judged.since, tonight)}"
        )
    if judged.word == "recovered":
        return f"has recovered: {_size(judged.change)} {_since(judged.since, tonight)} is over"
    held = f"; held against {_count(judged.control_boots, 'boot')} of the accepted configuration"
    return {
        "ok": "is as it was" + (held if judged.control_boots else ""),
        "invalid": f"could not be judged: no level is valid ({why})",
        "starved": f"could not be judged: what measured or served it was starved ({why})",
        "method changed": f"is measured differently: {_asked_anew(judged)}",
        "not measured": f"was not measured ({why})",
    }[judged.word]


def _asked_anew(judged: Judged) -> str:
    """Which workloads continue, since both were asked tonight, and which start a new series."""
    continued = ", ".join(judged.bridged)
    anew = ", ".join(name for name in judged.asked_anew if name not in judged.bridged)
    said = [f"{anew} has other prompts or settings since tonight, a new series"] if anew else []
    if continued:
        said.append(
            f"{continued} has other prompts or settings since tonight; measured both ways, so its "
            "series continues"
        )
    return "; ".join(said)


def _event(judged: Judged, tonight: date, changed: str) -> str:
    said = f"{judged.word}: {_size(judged.change)} {_since(judged.since, tonight)}"
    others = [name for name in judged.touched if judged.change and not _is(name, judged.change)]
    if others:
        said += f", and {len(others)} more series with it"
    said += f"; {changed or 'nothing that is known of it has changed'}{_again(judged)}"
    if judged.word == "improved":
        said += f" (`nightbench accept {judged.target}` takes it for the new level)"
    return said


def _again(judged: Judged) -> str:
    """What was booted tonight to tell."""
    if not judged.fresh_boots:
        return ""
    said = f"; measured again on {_count(judged.fresh_boots, 'boot')}"
    if judged.control_boots:
        said += f" against {judged.control_boots} of the configuration accepted before"
        said += ": it is the change, not the node"
    return said


def _inconclusive(judged: Judged, tonight: date, changed: str) -> str:
    if judged.change is not None:
        worse = "regressed" if judged.change.size_pct > 0 else "improved"
        said = f"may have {worse}: {_size(judged.change)} {_since(judged.since, tonight)}"
        if judged.notice:
            said += "; one night cannot yet tell it from the node"
        elif judged.more_nights:
            said += f"; {_nights(judged.more_nights)} more would settle it"
        return f"{said}; {changed}" if changed else said
    if judged.new and judged.nights <= 1:
        return "has nothing to be held against yet: this is the first night of its series"
    if judged.new:
        return f"has little to be held against yet: this is night {judged.nights} of its series"
    return "is undecided tonight"


def _size(change: Change | None) -> str:
    """`output tok/s −7.8 % (−9.1 … −6.4) at c5 to c20`."""
    if change is None:
        return "a change"
    low, high = change.interval
    return f"{label(change.metric)} {_pct(change.relative)} % ({_pct(low)} … {_pct(high)})" + _at(
        change.levels
    )


def label(metric: str) -> str:
    """A column of load_levels as people say it: `median TTFT`."""
    if metric in _LABELS:
        return _LABELS[metric]
    if not metric.endswith("_ms"):
        return metric
    statistic, _, what = metric.removesuffix("_ms").partition("_")
    return f"{statistic} {what.upper()}"


def _at(levels: tuple[str, ...]) -> str:
    if not levels:
        return ""
    return f" at {levels[0]}" + (f" to {levels[-1]}" if len(levels) > 1 else "")


def _pct(relative: float) -> str:
    return f"{100 * relative:+.1f}".replace("-", _MINUS)


def _nights(count: int) -> str:
    return _count(count, "night")


def _count(count: int, what: str) -> str:
    return f"one {what}" if count == 1 else f"{count} {what}s"


def _since(since: date | None, tonight: date) -> str:
    if since is None or since == tonight:
        return "since tonight"
    return f"since {since:%Y-%m-%d}"


def _is(name: str, change: Change) -> bool:
    return name.startswith(f"{change.workload} {change.metric}")

"""Levels on the terminal."""

from __future__ import annotations

from typing import Any

from nightbench.load.summarize.level_table import levels_text
from nightbench.records import LoadLevel


def level(name: str, **fields: Any) -> LoadLevel:
    numbers = {"request_throughput": 3.21, "output_throughput": 1234.5, "mean_ttft_ms": 51.26}
    known = {"level": name, "num_prompts": 20, "completed": 20, "failed": 0, "valid": True}
    empty = dict.fromkeys(LoadLevel.__dataclass_fields__)
    return LoadLevel(**(empty | {"invalid_reasons": []} | known | numbers | fields))


def test_columns_stand_under_their_names_and_an_invalid_level_says_why() -> None:
    odd = {"completed": 18, "failed": 2, "valid": False, "invalid_reasons": ["failures"]}
    text = levels_text([level("c5"), level("c100", **odd)], "m at u", colours=False)
    title, head, units, first, second = text.split("\n")
    assert title == "m at u"
    assert head.index("TTFT") + len("TTFT") == first.index("51.3") + len("51.3")
    assert head.split() == [
        *("level", "reqs", "TTFT", "TTFT", "TPOT", "TPOT", "ITL", "output", "done", "valid"),
    ]
    assert units.split() == ["mean", "ms", "p95", "ms"] * 2 + ["p95", "ms", "tok/s", "req/s"]
    assert first.split() == ["c5", "20", "51.3", *["–"] * 4, "1,234.5", "3.21", "yes"]
    assert second.split() == ["c100", "18/20", "51.3", *["–"] * 4, "1,234.5", "3.21", "failures"]


def test_colours_are_for_terminals() -> None:
    assert "\x1b[32myes" in levels_text([level("c5")], "t", colours=True)
    assert "\x1b" not in levels_text([level("c5")], "t", colours=False)

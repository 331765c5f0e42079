from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from nightbench.cli import score_command
from nightbench.errors import BadInput, DataError

REPLIES = [
    {"reply": "答案：B", "gold": "B", "choices": ["x", "y"]},
    {"reply": "I do not know, Bob", "gold": "B", "choices": ["x", "y", "z"]},
    {"reply": "答案：C", "gold": "C", "choices": 2},
    {"reply": "", "gold": "A"},
]


def score(tmp_path: Path, *argv: str, replies: list[object] | None = None) -> dict[str, object]:
    file = tmp_path / "replies.jsonl"
    rows: list[object] = list(REPLIES) if replies is None else replies
    file.write_text("\n".join(json.dumps(row) for row in rows))
    parser = argparse.ArgumentParser()
    score_command.add_parser(parser.add_subparsers())
    out = tmp_path / "out.json"
    args = parser.parse_args(
        ["score", "--benchmark", "iquiz", "--replies", str(file), "--json", str(out), *argv]
    )
    assert score_command.run(args) == 0
    written: dict[str, object] = json.loads(out.read_text())
    return written


def test_each_reply_is_scored_in_order_both_ways(tmp_path: Path) -> None:
    written = score(tmp_path)

    assert written["samples"] == [
        {
            "extracted": extracted,
            "extracted_strict": strict,
            "correct": correct,
            "correct_strict": correct_strict,
            "extraction_failed": extracted is None,
        }
        for extracted, strict, correct, correct_strict in [
            ("B", "B", True, True),
            ("B", None, True, False),
            (None, None, False, False),
            (None, None, False, False),
        ]
    ]
    assert written["accuracy"] == 0.5
    assert written["accuracy_strict"] == 0.25
    assert (written["disagreements"], written["extraction_failed"]) == (1, 2)


def test_numbers_are_compared_by_value(tmp_path: Path) -> None:
    pytest.importorskip("math_verify")
    replies = [
        {"reply": r"so \boxed{1,234.00}", "gold": "1234"},
        {"reply": "It is 18 in all", "gold": "18"},
        {"reply": r"\boxed{\frac{1}{2}}", "gold": "0.5"},
        {"reply": r"\boxed{17", "gold": "17"},
        {"reply": "none", "gold": "3"},
    ]

    written = score(tmp_path, "--benchmark", "gsm8k", replies=replies)

    samples = written["samples"]
    assert isinstance(samples, list)
    assert [s["correct"] for s in samples] == [True, True, True, False, False]
    assert [s["correct_strict"] for s in samples] == [True, False, True, False, False]


def test_a_subset_with_scoring_of_its_own_is_named(tmp_path: Path) -> None:
    replies = [{"reply": "It is Paris.", "gold": ["Paris", "Lutetia"]}]

    written = score(tmp_path, "--benchmark", "starter", "--subset", "anchor", replies=replies)

    assert written["accuracy"] == 1.0


def test_what_is_wrong_with_the_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="reply 1 has no field 'gold'"):
        score(tmp_path, replies=[{"reply": "x"}])
    with pytest.raises(DataError, match="reply 1 cannot be scored: expected choices"):
        score(tmp_path, replies=[{"reply": "x", "gold": "A", "choices": "ABCD"}])
    with pytest.raises(BadInput, match="no subset named 'XQ'"):
        score(tmp_path, "--subset", "XQ")

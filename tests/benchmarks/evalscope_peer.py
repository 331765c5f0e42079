"""EvalScope as the parity scripts ask it: in its own environment, over files."""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.unit.accuracy.hub_records import EVALSCOPE_NAMES

GOLDEN = Path(__file__).parents[1] / "unit" / "accuracy" / "golden"
SIDE = Path(__file__).with_name("evalscope_side.py")


@dataclass
class Line:
    """One line of the table."""

    benchmark: str
    what: str
    prompts: int = 0
    same_prompts: int = 0
    replies: int = 0
    same_scores: int = 0
    accuracy: float | None = None
    evalscope_accuracy: float | None = None

    @property
    def good(self) -> bool:
        """Nothing differs."""
        return self.prompts == self.same_prompts and self.replies == self.same_scores


def ask_evalscope(
    name: str, parts: list[dict[str, Any]], args: argparse.Namespace
) -> list[list[dict[str, Any]]]:
    """Per part and record, EvalScope's prompt and its scores of the replies."""
    with tempfile.TemporaryDirectory() as scratch:
        asked, answered = Path(scratch) / "asked.json", Path(scratch) / "answered.json"
        asked.write_text(json.dumps({"benchmark": EVALSCOPE_NAMES.get(name, name), "parts": parts}))
        done = subprocess.run(
            [args.evalscope, SIDE, asked, answered],
            check=False,
            cwd=scratch,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise SystemExit(f"EvalScope failed on {name}:\n{done.stderr[-3000:]}")
        answers: list[list[dict[str, Any]]] = json.loads(answered.read_text())
    return answers

"""EvalScope as the parity scripts ask it: in its own environment, over pipes."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
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


class EvalScope:
    """EvalScope in a process of its environment's Python: `with EvalScope(python) as peer: …`."""

    def __init__(self, python: Path) -> None:
        self._python = python

    def __enter__(self) -> EvalScope:
        self._log = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [self._python, SIDE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def answers(self, name: str, parts: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        """Per part and record, EvalScope's prompt and its scores of the replies."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"benchmark": EVALSCOPE_NAMES.get(name, name), "parts": parts}
        try:
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._log.seek(0)
            raise SystemExit(f"EvalScope failed on {name}:\n{self._log.read()[-3000:]}")
        answers: list[list[dict[str, Any]]] = json.loads(line)
        return answers

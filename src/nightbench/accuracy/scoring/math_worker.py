"""The process that reads and compares mathematical answers, apart so that it can be ended.

Started by `math_scoring`. One JSON array a line: `["read", reply]` or `["same", answer, gold]` in,
the answer out, null where the parser failed.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
import warnings
from typing import TextIO

from nightbench.accuracy.scoring.math_answers import read_answer, same_answer
from nightbench.accuracy.scoring.sandbox.confinement import end_with

MEMORY_BYTES = 4 * 1024**3


def main() -> None:
    """Answer lines until there are no more, or until the process that started this one is gone."""
    end_with(int(sys.argv[1]))
    # What libraries print must not become an answer: the pipe moves, stdout goes to stderr.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    serve(sys.stdin, answers)


def serve(questions: TextIO, answers: TextIO) -> None:
    """One line out for each line in."""
    for line in questions:
        answers.write(json.dumps(_answer(json.loads(line))) + "\n")
        answers.flush()


def _answer(call: list[str]) -> str | bool | None:
    try:
        return read_answer(call[1]) if call[0] == "read" else same_answer(call[1], call[2])
    except Exception:  # noqa: BLE001 - whatever a parser does with hostile text is "no answer"
        return None


if __name__ == "__main__":
    main()

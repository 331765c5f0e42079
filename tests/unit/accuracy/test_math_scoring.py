from __future__ import annotations

import io
import json
import time

import pytest

pytest.importorskip("math_verify")

from nightbench.accuracy.benchmark import Question
from nightbench.accuracy.scoring import math_worker
from nightbench.accuracy.scoring.mathematics import _Worker, math_scorer
from nightbench.accuracy.scoring.strict_mathematics import read_final_answer


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (r"so \boxed{18}", "18"),
        (r"\boxed{7} no, \boxed{18}", "18"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\fbox{3}", "3"),
        (r"\boxed{\boxed{3}}", r"\boxed{3}"),
        (r"\boxed{18", None),
        (r"\boxed{}", None),
        ("work\n#### 42", "42"),
        ("**Answer: 42**", "42"),
        ("The answer is 42", "42"),
        ("42 apples", None),
        ("", None),
    ],
)
def test_only_a_final_answer_is_read_strictly(reply: str, answer: str | None) -> None:
    assert read_final_answer(reply) == answer


def test_a_scorer_compares_by_value_and_survives_hostile_replies() -> None:
    question = Question(text="?", gold="72")
    hostile = ["\x00", "\ud800", "\n" * 1000, "(" * 5000, "\\boxed{" * 3000, "1" * 100_000]

    with math_scorer() as score:
        assert not any(score(question, reply).correct for reply in hostile)
        assert score(question, r"\boxed{72.0}").correct


def test_a_worker_that_does_not_answer_in_time_is_replaced() -> None:
    worker = _Worker(deadline_s=0.000001)
    started_s = time.monotonic()

    assert worker.call("same", "1", "1") is None
    assert time.monotonic() - started_s < 5

    worker._deadline_s = 30
    assert worker.call("same", "1", "1.0") is True
    worker.close()


def test_the_worker_answers_null_where_the_parser_fails_and_goes_on() -> None:
    out = io.StringIO()
    lines = [json.dumps(call) + "\n" for call in (["read"], ["same", "2", "2"])]

    math_worker.serve(io.StringIO("".join(lines)), out)

    assert out.getvalue().splitlines() == ["null", "true"]

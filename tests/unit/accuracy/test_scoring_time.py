"""No reply stalls the scoring: broken engines write a million newlines, brackets or answers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nightbench.accuracy.benchmark import Question
from nightbench.accuracy.client import Ask
from nightbench.accuracy.evaluate import evaluate
from nightbench.accuracy.replies import Reply
from nightbench.accuracy.scoring.choices import read_label_en, read_label_zh
from nightbench.accuracy.scoring.code_blocks import program_of
from nightbench.accuracy.scoring.phrases import score_phrase
from nightbench.accuracy.scoring.programs import first_block
from nightbench.accuracy.scoring.strict_choices import read_label_strictly
from nightbench.accuracy.scoring.strict_mathematics import read_final_answer
from nightbench.accuracy.templates import labels
from nightbench.endpoint import Endpoint
from nightbench.suite.models import AccuracySpec

MB = 1_000_000
WITHIN_S = 20.0  # on a machine that does five other things; a squared time would be hours
ABCD = labels(4)
SHAPES = [
    *("\n", " ", "\n ", "\t", "\u3000", "a", "A", "A ", "A,", "A\n", "A) x\n", "(", "[", "{"),
    *("\\boxed{", "\\boxed{1}", "\\boxed{}", "$", "$$", "\\", "\\[", "#", "####", "#### 1\n", "*"),
    *("_", "`", "```\n", "```python\n", "~", "答案", "答案：", "答案： \n", "选", "选A", "选项：A"),
    *("Answer: A ", "answer is ", "ANSWER:", "ANSWER: not ", "ANSWER: (A, ", "【", "【答案】"),
    *("answer is A, B, C, ", "the answer is 1 ", "if ", "not ", '"', "'", "ﷺ", "0", "1,", "1."),
    *("1/", "-", "1 ", "so A", "Therefore, ", "的", "\u0301", "\x00", "\ud800", "<answer>"),
    *("A is ", "B is correct", "\r", "\r\n", "=", "1+", "½", "cold", "col"),
]
COLD = Question(text="?", gold="cold", accepted=("4", "1/2"))
READERS: dict[str, Callable[[str], object]] = {
    "strict choice": lambda text: read_label_strictly(text, ABCD),
    "faithful choice, English": lambda text: read_label_en(text, ABCD),
    "faithful choice, Chinese": lambda text: read_label_zh(text, ABCD),
    "strict mathematics": read_final_answer,
    "strict program": lambda text: program_of(text, "f"),
    "faithful program": first_block,
    "phrase": lambda text: score_phrase(COLD, text),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_megabyte_of_anything_is_read_in_time(reader: str) -> None:
    read = READERS[reader]
    slow = {}
    for shape in SHAPES:
        text = (shape * (MB // len(shape) + 1))[:MB] + "x"
        started_s = time.perf_counter()
        read(text)
        took_s = time.perf_counter() - started_s
        if took_s > WITHIN_S:
            slow[shape] = took_s

    assert slow == {}


def test_the_asking_goes_on_while_a_long_reply_is_scored(tmp_path: Path) -> None:
    rows = [{"question": f"{n}?", "choices": ["x", "y"], "answer": "B"} for n in range(3)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    longest_s = 0.0

    async def send(ask: Ask) -> Reply:
        nonlocal longest_s
        if "0?" in ask.prompt:
            return Reply(text="答案： [" * 150_000)
        for _ in range(50):
            before_s = time.perf_counter()
            await asyncio.sleep(0.01)
            longest_s = max(longest_s, time.perf_counter() - before_s)
        return Reply(text="答案：B")

    results = evaluate(
        AccuracySpec(benchmark="mcq", data="q.jsonl"),
        Endpoint(base_url="http://127.0.0.1:9/v1", model="m"),
        base_dir=tmp_path,
        on_sample=lambda sample: None,
        send=send,
    )

    assert results[0].num_correct == 2
    assert longest_s < 5

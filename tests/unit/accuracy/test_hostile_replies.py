"""What a model writes is untrusted: nothing it says may harm the run, the rows or the terminal."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from rich.console import Console

from nightbench.accuracy.evaluate import evaluate
from nightbench.accuracy.sample_files import AskedAs, read_samples, sample_line
from nightbench.accuracy.table import accuracy_table
from nightbench.records import AccuracySample
from nightbench.suite import AccuracySpec
from tests.unit.accuracy.conftest import ChatServer, completion

HOSTILE = {
    "script": "<script>alert(1)</script> 答案：B",
    "escapes": "\x1b]0;owned\x07\x1b[2J\x9b31m 答案：B",
    "bidi": "\u202egnorw\u202c 答案：B",
    "half a surrogate": "\ud800\udc00\ud800 答案：B",
    "null": "\x00 答案：B",
    "ten megabytes": "A" * 10_000_000 + " 答案：B",
    "endless markers": "答案：" * 100_000 + "B",
    "endless brackets": "答案：" + "（" * 200_000,
    "endless labels": "答案：" + "B, " * 100_000,
    "endless spaces": "答案" + " " * 200_000 + "：B",
    "endless latex": "答案：" + "\\boxed{" * 50_000,
    "a bomb of JSON": "[" * 500_000,
    "markup": "[bold red]x[/]" * 1000 + "[/nothing]",
    "formulas": "=cmd|' /C calc'!A0",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_reply_is_a_sample_like_any_other(
    chat_server: ChatServer, tmp_path: Path, name: str
) -> None:
    chat_server.answer = lambda body: completion(HOSTILE[name])
    samples: list[AccuracySample] = []
    spec = AccuracySpec(benchmark="starter", subsets=("IQ",), limit=2)

    results = evaluate(spec, chat_server.endpoint, base_dir=tmp_path, on_sample=samples.append)

    assert results[0].num_samples == len(samples) == 2
    assert all(sample.error_kind is None for sample in samples)
    _survives_storage(samples, AskedAs.of(spec, "m"), tmp_path)
    console = Console(file=io.StringIO(), width=80)
    console.print(accuracy_table(results))
    assert "\x1b" not in console.file.getvalue()  # type: ignore[attr-defined]


def _survives_storage(samples: list[AccuracySample], asked_as: AskedAs, folder: Path) -> None:
    path = folder / "s.jsonl"
    lines = [sample_line(sample, asked_as) + "\n" for sample in samples]
    path.write_text("".join(lines), encoding="utf-8")
    assert list(read_samples(path)) == samples
    table = pyarrow.table({"reply": [sample.reply for sample in samples]})
    pyarrow.parquet.write_table(table, folder / "s.parquet")


def test_a_reply_too_long_to_keep_is_a_failed_request(
    chat_server: ChatServer, tmp_path: Path
) -> None:
    chat_server.answer = lambda body: (200, json.dumps({"x": "A" * 17_000_000}).encode(), {})
    samples: list[AccuracySample] = []
    spec = AccuracySpec(benchmark="starter", subsets=("IQ",), limit=1)

    evaluate(spec, chat_server.endpoint, base_dir=tmp_path, on_sample=samples.append)

    assert samples[0].error_kind == "bad_reply"

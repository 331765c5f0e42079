"""What a model writes is untrusted: nothing it says may harm the run, the rows or the terminal."""

from __future__ import annotations

import asyncio
import io
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from rich.console import Console

from nightbench.accuracy.client import Ask
from nightbench.accuracy.evaluate import evaluate
from nightbench.accuracy.replies import Reply
from nightbench.accuracy.result_table import accuracy_table
from nightbench.accuracy.sample_files import ReplySettings, read_samples, sample_line
from nightbench.cli.main import main
from nightbench.history.ingest import land
from nightbench.history.reading import open_history
from nightbench.history.run_results import read_samples as read_samples_of
from nightbench.history.spool.writer import RUN_FOLDER, Spool, SpoolIdentity
from nightbench.home.paths import Home
from nightbench.records import AccuracySample
from nightbench.suite.models import AccuracySpec
from nightbench.untrusted.limits import AnswerLimits
from tests.benchmarks.synthetic_nights import Shape, began, run_id_of, run_row, target_row
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
    _survives_storage(samples, ReplySettings.of(spec, "m"), tmp_path)
    console = Console(file=io.StringIO(), width=80)
    console.print(accuracy_table(results))
    assert "\x1b" not in console.file.getvalue()  # type: ignore[attr-defined]


def _survives_storage(samples: list[AccuracySample], asked_as: ReplySettings, folder: Path) -> None:
    path = folder / "s.jsonl"
    lines = [sample_line(sample, asked_as) + "\n" for sample in samples]
    path.write_text("".join(lines), encoding="utf-8")
    assert list(read_samples(path)) == samples
    table = pyarrow.table({"reply": [sample.reply for sample in samples]})
    pyarrow.parquet.write_table(table, folder / "s.parquet")


def test_a_reply_too_long_to_keep_is_a_failed_request(
    chat_server: ChatServer, tmp_path: Path
) -> None:
    chat_server.answer = lambda body: completion("A" * 2_000_000)
    limits = AnswerLimits(answer_bytes=1_000_000)
    samples: list[AccuracySample] = []
    spec = AccuracySpec(benchmark="starter", subsets=("IQ",), limit=1)

    evaluate(
        spec,
        replace(chat_server.endpoint, limits=limits),
        base_dir=tmp_path,
        on_sample=samples.append,
    )

    assert (samples[0].error_kind, samples[0].retries) == ("too_large", 0)
    assert samples[0].error == "the reply is too large: more than 1 MB"


def test_replies_are_handed_on_and_not_held(chat_server: ChatServer, tmp_path: Path) -> None:
    """Thousands of megabytes would be as many gigabytes."""
    reply_bytes, questions = 1_000_000, 20

    async def send(ask: Ask) -> Reply:
        await asyncio.sleep(0)
        return Reply(text="B" * reply_bytes, reasoning="A" * reply_bytes)

    held_bytes = []

    def on_sample(sample: AccuracySample) -> None:
        held_bytes.append(tracemalloc.get_traced_memory()[0])

    spec = AccuracySpec(benchmark="starter", limit=questions, max_concurrency=1)
    tracemalloc.start()
    evaluate(spec, chat_server.endpoint, base_dir=tmp_path, on_sample=on_sample, send=send)
    tracemalloc.stop()

    assert len(held_bytes) == questions
    assert held_bytes[-1] - held_bytes[0] < 5 * reply_bytes


def test_hostile_replies_land_and_a_terminal_shows_them_as_text(
    chat_server: ChatServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    replies = iter(HOSTILE.values())
    chat_server.answer = lambda body: completion(next(replies))
    samples: list[AccuracySample] = []
    spec = AccuracySpec(benchmark="starter", limit=len(HOSTILE), max_concurrency=1)
    results = evaluate(spec, chat_server.endpoint, base_dir=tmp_path, on_sample=samples.append)
    home = Home(tmp_path / "home")
    spooled = [target_row(0, "hostile", status="completed", ended_at=began(0)), *samples, *results]
    _spool(home, "hostile", spooled)
    _spool(home, RUN_FOLDER, [run_row(0, Shape(), status="completed", ended_at=began(0))])

    landed = land(home)

    assert not landed.damaged
    monkeypatch.setenv("NIGHTBENCH_HOME", str(home.root))
    assert main(["show", "latest", "--samples", "all", "--limit", "99"]) == 0
    assert main(["sql", "SELECT reply FROM accuracy_samples"]) == 0
    shown = capsys.readouterr().out
    assert f"of {len(HOSTILE)}" in shown
    assert "<script>alert(1)</script>" in shown
    assert "[bold red]x[/]" in shown
    assert not set(shown) & {"\x1b", "\x9b", "\x07", "\x00", "\u202e", "\ud800"}
    assert len(shown) < 1_000_000
    with open_history(home) as history:
        kept = [one.sample for one in read_samples_of(history, run_id_of(0))]
    assert {s.sample_id: s.reply for s in kept} == {s.sample_id: s.reply for s in samples}


def _spool(home: Home, target: str, rows: list[Any]) -> None:
    identity = SpoolIdentity(run_id=run_id_of(0), target=target, night=began(0).date())
    with Spool.open(home.spool, identity) as spool:
        for row in rows:
            spool.append(row)

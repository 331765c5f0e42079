from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from nightbench.accuracy.client import Ask
from nightbench.accuracy.evaluate import evaluate
from nightbench.accuracy.replies import AskFailed, Reply, parse_reply
from nightbench.endpoint import Endpoint
from nightbench.errors import BadInput, DataError, EndpointError
from nightbench.progress import Progress
from nightbench.records import AccuracyResult, AccuracySample
from nightbench.suite.models import AccuracySpec, Generation
from tests.truth.reference import ReferenceServer
from tests.unit.accuracy.conftest import ChatServer, completion

NOWHERE = Endpoint(base_url="http://127.0.0.1:9/v1", model="m")
LABELS = "ABCD"


@pytest.fixture
def iquiz(tmp_path: Path) -> Path:
    """6 IQ and 4 EQ questions; the right answer of question n is the n-th label, in turn."""
    for subset, count in (("IQ", 6), ("EQ", 4)):
        rows = [
            {
                "question": f"{subset} {n}?",
                "choices": ["a", "b", "c", "d"],
                "answer": LABELS[n % 4],
                "level": 1,
            }
            for n in range(count)
        ]
        lines = "\n".join(json.dumps(row) for row in rows)
        (tmp_path / f"{subset}.jsonl").write_text(lines)
    return tmp_path


class Model:
    """Answers B to everything, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Ask] = []

    async def __call__(self, ask: Ask) -> Reply:
        self.asked.append(ask)
        return Reply(text="想一想\n答案：B", finish_reason="stop", prompt_tokens=5)


def evaluated(
    spec: AccuracySpec, folder: Path, model: object | None = None, **more: object
) -> tuple[tuple[AccuracyResult, ...], list[AccuracySample]]:
    samples: list[AccuracySample] = []
    results = evaluate(
        spec,
        NOWHERE,
        base_dir=folder,
        on_sample=samples.append,
        send=model or Model(),  # type: ignore[arg-type]
        **more,  # type: ignore[arg-type]
    )
    return results, samples


def spec(**fields: object) -> AccuracySpec:
    return AccuracySpec.model_validate(
        {"benchmark": "iquiz", "data": ".", "max_concurrency": 3} | fields
    )


def test_a_benchmark_is_asked_scored_and_summed_up(iquiz: Path) -> None:
    results, samples = evaluated(spec(), iquiz)

    assert [(r.subset, r.num_samples, r.num_correct) for r in results] == [
        ("all", 10, 3),
        ("IQ", 6, 2),
        ("EQ", 4, 1),
    ]
    assert len(samples) == 10
    assert {s.extracted for s in samples} == {"B"}
    assert [s.sample_id for s in samples if s.correct] == ["IQ/1", "IQ/5", "EQ/1"]
    assert len({s.prompt_hash for s in samples}) == 10


def test_the_prompt_is_evalscopes_word_for_word(iquiz: Path) -> None:
    model = Model()

    evaluated(spec(limit=1), iquiz, model)

    assert model.asked[0].prompt == (
        "回答下面的单项选择题，请选出其中的正确答案。你的回答的最后一行应该是这样的格式："
        '"答案：[LETTER]"（不带引号），其中 [LETTER] 是 A,B,C,D 中的一个。'
        "请在回答前进行一步步思考。\n\n问题：IQ 0?\n选项：\nA) a\nB) b\nC) c\nD) d\n"
    )


@pytest.mark.parametrize(
    ("fields", "ids"),
    [
        ({"limit": 3}, ["IQ/0", "IQ/1", "EQ/0"]),
        ({"limit_per_subset": 1}, ["IQ/0", "EQ/0"]),
        ({"subsets": ["EQ"], "limit": 2}, ["EQ/0", "EQ/1"]),
        ({"limit": 9}, [f"IQ/{n}" for n in range(5)] + [f"EQ/{n}" for n in range(4)]),
    ],
)
def test_limits_and_subsets_choose_the_first_of_each(
    iquiz: Path, fields: dict[str, object], ids: list[str]
) -> None:
    _, samples = evaluated(spec(**fields, max_concurrency=1), iquiz)

    assert [s.sample_id for s in samples] == ids


def test_equal_questions_have_an_equal_key_and_anything_else_another(iquiz: Path) -> None:
    def key(**fields: object) -> str:
        return evaluated(spec(**fields), iquiz)[0][0].measurement_key

    same = [key(), key()]
    others = [
        key(limit=9),
        key(repeats=2),
        key(max_concurrency=2),
        key(generation={"temperature": 1.0}),
    ]
    assert len(set(same)) == 1
    assert len({*same, *others}) == 5


def test_repeats_ask_everything_again_each_with_its_own_seed(iquiz: Path) -> None:
    model = Model()

    results, samples = evaluated(spec(repeats=3, generation=Generation(seed=7)), iquiz, model)

    assert (results[0].num_samples, results[0].num_questions) == (30, 10)
    assert {a.generation.seed for a in model.asked} == {7, 8, 9}
    assert len({(s.sample_id, s.repeat) for s in samples}) == 30


def test_what_was_answered_before_a_crash_is_not_asked_again(iquiz: Path) -> None:
    whole, samples = evaluated(spec(), iquiz)
    model = Model()

    resumed, asked = evaluated(spec(), iquiz, model, already=samples[:6])

    assert len(model.asked) == len(asked) == 4
    assert {s.sample_id for s in asked} == {s.sample_id for s in samples[6:]}
    assert resumed[0].accuracy == whole[0].accuracy
    assert resumed[0].num_samples == 10


def test_a_reply_to_another_prompt_and_a_failure_are_asked_again(iquiz: Path) -> None:
    _, samples = evaluated(spec(), iquiz)
    model = Model()
    before = [
        replace(samples[0], prompt_hash="another"),
        replace(samples[1], reply=None),
        replace(samples[2], benchmark="other"),
    ]

    evaluated(spec(), iquiz, model, already=before)

    assert len(model.asked) == 10


def test_a_failed_request_is_a_wrong_row_with_its_kind(iquiz: Path) -> None:
    async def send(ask: Ask) -> Reply:
        if "IQ 1?" in ask.prompt:
            raise AskFailed("timeout", "no reply within 600 s")
        return Reply(text="答案：B", finish_reason="length")

    results, samples = evaluated(spec(), iquiz, send)

    failed = next(s for s in samples if s.sample_id == "IQ/1")
    assert (failed.reply, failed.error_kind, failed.correct) == (None, "timeout", False)
    assert results[0].num_failed == 1
    assert results[0].truncated == 9
    assert results[0].invalid_reasons == ["failures"]


def test_a_usage_that_cannot_be_is_not_measured_and_the_sample_says_so(iquiz: Path) -> None:
    async def send(ask: Ask) -> Reply:
        absurd = 2**66 if "IQ 1?" in ask.prompt else 7
        reply = {
            "choices": [{"message": {"content": "答案：B"}}],
            "usage": {"completion_tokens": absurd},
        }
        return parse_reply(json.dumps(reply).encode())

    results, samples = evaluated(spec(), iquiz, send)

    odd = next(s for s in samples if s.sample_id == "IQ/1")
    assert (odd.reply, odd.completion_tokens, odd.error_kind) == ("答案：B", None, None)
    assert odd.error == f"invalid token counts: completion_tokens {2**66}"
    assert results[0].completion_tokens == 9 * 7
    assert (results[0].valid, results[0].num_failed) == (True, 0)


def test_a_server_that_dies_ends_it_and_what_was_answered_is_kept(iquiz: Path) -> None:
    answered = 0

    async def send(ask: Ask) -> Reply:
        nonlocal answered
        answered += 1
        await asyncio.sleep(0)
        return Reply(text="答案：B")

    results, samples = evaluated(
        spec(max_concurrency=1, repeats=500), iquiz, send, stop=lambda: "server_died"
    )

    assert results[0].invalid_reasons == ["server_died"]
    assert results[0].num_samples == len(samples) < 5000


def test_an_interrupt_reaches_the_caller_with_what_was_answered_spooled(iquiz: Path) -> None:
    samples: list[AccuracySample] = []

    def on_sample(sample: AccuracySample) -> None:
        samples.append(sample)
        if len(samples) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(spec(), NOWHERE, base_dir=iquiz, on_sample=on_sample, send=Model())

    assert len(samples) >= 4


def test_progress_counts_up_to_the_total(iquiz: Path) -> None:
    steps: list[Progress] = []

    evaluated(spec(), iquiz, on_progress=steps.append)

    assert [(s.done, s.total) for s in steps] == [(n, 10) for n in range(1, 11)]


def test_bad_input_is_refused_before_anything_is_sent(iquiz: Path) -> None:
    model = Model()
    (iquiz / "EQ.jsonl").write_text('{"frage": "?"}')

    with pytest.raises(BadInput, match="no benchmark named 'iqiuz'"):
        evaluated(spec(benchmark="iqiuz"), iquiz, model)
    with pytest.raises(BadInput, match="no subset named 'XQ'"):
        evaluated(spec(subsets=["XQ"]), iquiz, model)
    with pytest.raises(DataError, match=r"record 1 of iquiz/EQ .* no field 'question'"):
        evaluated(spec(), iquiz, model)
    with pytest.raises(DataError, match="no file or folder"):
        evaluated(spec(data="gone"), iquiz, model)
    assert model.asked == []


def test_over_a_real_connection(chat_server: ChatServer, iquiz: Path) -> None:
    chat_server.answer = lambda body: completion(f"答案：B\x1b[31m \ud800 {'x' * 1000}")
    samples: list[AccuracySample] = []

    results = evaluate(spec(), chat_server.endpoint, base_dir=iquiz, on_sample=samples.append)

    assert results[0].num_correct == 3
    assert len(chat_server.requests) == 10
    assert all("\ud800" not in (s.reply or "") for s in samples)
    assert all(s.latency_ms is not None and s.latency_ms > 0 for s in samples)


def test_completions_get_the_prompt_as_it_stands(iquiz: Path) -> None:
    samples: list[AccuracySample] = []
    asked = spec(api="completions", generation={"max_tokens": 3})

    with ReferenceServer(ttft_ms=1) as server:
        results = evaluate(asked, server.endpoint, base_dir=iquiz, on_sample=samples.append)
        truth = server.truth()

    assert results[0].num_failed == 0
    assert {sample.reply for sample in samples} == {" tok tok tok"}
    assert all(one["prompt"].startswith("回答下面的单项选择题") for one in truth)
    assert results[0].measurement_key != evaluated(spec(), iquiz)[0][0].measurement_key


def test_what_belongs_to_a_chat_is_refused_for_completions() -> None:
    for fields in ({"system_prompt": "short"}, {"generation": {"chat_template_kwargs": {"a": 1}}}):
        with pytest.raises(ValueError, match="need api: chat"):
            spec(api="completions", **fields)


def test_a_wrong_key_is_one_clear_error(chat_server: ChatServer, iquiz: Path) -> None:
    chat_server.answer = lambda body: (401, b'{"error": {"message": "bad key"}}', {})

    with pytest.raises(EndpointError, match="bad key") as refused:
        evaluate(spec(), chat_server.endpoint, base_dir=iquiz, on_sample=print)

    assert "API key" in refused.value.hint
    assert "secret-key" not in str(refused.value)

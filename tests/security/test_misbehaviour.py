"""Servers that send without end, or without getting anywhere: each answer is a failure of a kind.

The whole, with its peak memory and time, is `python -m tests.security.misbehaviour`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nightbench.accuracy.evaluate import evaluate
from nightbench.endpoint import Endpoint
from nightbench.load.drive import jobs
from nightbench.load.drive.jobs import GeneratorOptions
from nightbench.load.measure import measure_level
from nightbench.load.plan.levels import Level, plan_levels
from nightbench.load.plan.workloads import Prompts, prompt_hash, read_prompts
from nightbench.records import AccuracySample
from nightbench.serving import probing
from nightbench.suite.models import AccuracySpec, LoadSpec
from nightbench.untrusted.limits import AnswerLimits
from tests.security.hostile_server import HostileServer
from tests.security.misbehaviour import cost_of, hostile_server
from tests.security.modes import OF_PAGES

LIMITS = AnswerLimits(answer_bytes=400_000, error_bytes=50_000, model_list_bytes=100_000)
TOGETHER = 8
PLENTY_S, SHORT_S = 60.0, 1.0

# What no patience would see the end of: it ends by its size.
ENDLESS = {
    "gigabyte_body": "too_large",
    "endless_chunks": "too_large",
    "endless_until_closed": "too_large",
    "one_byte_chunks": "too_large",
    "chunk_of_exabytes": "too_large",
    "endless_chunk_extension": "too_large",
    "endless_trailers": "too_large",
    "endless_headers": "too_large",
    "endless_header": "too_large",
    "endless_status_line": "too_large",
    "endless_continues": "too_large",
    "endless_early_hints": "too_large",
    "length_too_long_and_closed": "cut",
    "length_too_short": "malformed",
    "length_absurd": "malformed",
    "length_of_a_million_digits": "malformed",
    "length_negative": "malformed",
    "nothing": "cut",
    "no_http": "malformed",
    "upgrade": "malformed",
    "redirect_loop": "http_3xx",
    "gzip_bomb": "too_large",
    "deflate_bomb": "too_large",
    "raw_deflate_bomb": "too_large",
    "gzip_bomb_as_an_error": "http_5xx",
    "gzip_in_gzip": "malformed",
    "brotli": "malformed",
    "zstd": "malformed",
    "gzip_that_never_says_anything": "too_large",
    "gzip_and_endless_rest": "too_large",
    "content_in_nested_parts": None,
    "absurd_usage": None,
    "half_a_character": None,
    "endless_white_space": "too_large",
    "gigabyte_error": "http_5xx",
    "wait_for_ever": "rate_limited",
    "wait_for_no_number": "rate_limited",
    "endless_tokens": "too_large",
    "endless_tiny_events": "too_large",
    "endless_comments": "too_large",
    "endless_blank_lines": "too_large",
    "endless_line": "too_large",
    "endless_after_done": "too_large",
    "gzip_bomb_of_events": "too_large",
    "event_of_absurd_usage": None,
    "events_in_utf_16": None,
    "events_of_invalid_utf_8": "malformed",
    "events_of_one_byte_each_read": "too_large",
}
# What comes so slowly that it would never be too large: it ends by its time.
SLOW = (
    "length_too_long",
    "drip_of_a_head",
    "drip_of_a_body",
    "drip_within_a_length",
    "silence",
    "drip_of_tokens",
)
# What accuracy makes of some: its client is another one, and waits for whole answers.
ASKED = (
    {
        "gigabyte_error": "server_error",
        "gzip_bomb_as_an_error": "server_error",
        "upgrade": "bad_request",
    }
    | dict.fromkeys(
        (
            "brotli",
            "zstd",
            "gzip_in_gzip",
            "event_of_absurd_usage",
            "events_in_utf_16",
            "events_of_invalid_utf_8",
        ),
        "bad_reply",
    )
    | dict.fromkeys(
        (
            "endless_headers",
            "endless_header",
            "endless_status_line",
            "endless_trailers",
            "length_absurd",
            "length_negative",
            "length_of_a_million_digits",
            "length_too_short",
            "no_http",
        ),
        "cut",
    )
    | {"redirect_loop": "bad_request"}  # not followed
)
# … and what it reads over without keeping anything of it.
READ_OVER = (
    "endless_continues",
    "endless_early_hints",
    "endless_chunk_extension",
    "events_of_one_byte_each_read",
)


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    with HostileServer() as server:
        yield server


def planned(folder: Path, modes: list[str], *, within_s: float) -> tuple[Level, Prompts]:
    """A level whose requests are each to be answered in one of the modes."""
    file = folder / "prompts.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"mode:{mode}"}) + "\n" for mode in modes))
    spec = LoadSpec.model_validate(
        {
            "name": "w",
            "workload": {"kind": "custom", "path": str(file), "column": "prompt"},
            "max_concurrency": TOGETHER,
            "num_prompts": len(modes),
            "timeouts_s": dict.fromkeys(("first_token", "between_tokens", "total"), within_s),
        }
    )
    (level,) = plan_levels(spec)
    return level, read_prompts(spec.workload, level.prompts_needed, spec.seed, folder)


def load(
    server: HostileServer, modes: list[str], work_dir: Path, *, within_s: float, compiled: bool
) -> dict[str, str | None]:
    """What a level's requests ended with, by mode."""
    level, prompts = planned(work_dir, modes, within_s=within_s)
    endpoint = Endpoint(base_url=server.url(), model="m", limits=LIMITS)
    options = GeneratorOptions(compiled=compiled, watch_prefix_cache=False)
    measured = measure_level(level, prompts, endpoint, work_dir=work_dir, options=options)
    mode_of = {prompt_hash(f"mode:{mode}"): mode for mode in modes}
    rows = pq.read_table(measured.requests_path).to_pylist()
    return {mode_of[row["prompt_hash"]]: row["error_kind"] for row in rows}


@pytest.mark.parametrize("compiled", [True, False], ids=["in C", "in Python"])
def test_under_load_what_has_no_end_ends_by_its_size(
    server: HostileServer, tmp_path: Path, compiled: bool
) -> None:
    kinds = load(server, [*ENDLESS], tmp_path, within_s=PLENTY_S, compiled=compiled)

    assert kinds == ENDLESS
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1_000_000


@pytest.mark.parametrize("compiled", [True, False], ids=["in C", "in Python"])
def test_under_load_what_drips_ends_by_its_time(
    server: HostileServer, tmp_path: Path, compiled: bool
) -> None:
    kinds = load(server, [*SLOW], tmp_path, within_s=SHORT_S, compiled=compiled)

    assert {(kind or "").partition("_")[0] for kind in kinds.values()} == {"timeout"}


@pytest.mark.parametrize("compiled", [True, False], ids=["in C", "in Python"])
def test_under_load_all_answers_together_have_a_limit_too(
    server: HostileServer, tmp_path: Path, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three have room for two: one of the three ends, though none is too large by itself."""
    monkeypatch.setattr(jobs, "available_bytes", lambda: 0)
    level, prompts = planned(tmp_path, ["a_megabyte_and_silence"] * 3, within_s=5.0)
    limits = AnswerLimits(answer_bytes=1_300_000)
    endpoint = Endpoint(base_url=server.url(), model="m", limits=limits)
    options = GeneratorOptions(compiled=compiled, watch_prefix_cache=False)
    measured = measure_level(level, prompts, endpoint, work_dir=tmp_path, options=options)

    kinds = sorted(pq.read_table(measured.requests_path)["error_kind"].to_pylist())
    assert [kind.partition("_")[0] for kind in kinds] == ["timeout", "timeout", "too"]
    assert measured.errors["too_large"] == "all responses together exceeded 2.6 MB"


def accuracy(
    server: HostileServer, modes: list[str], folder: Path, *, within_s: float
) -> dict[str, str | None]:
    """A question in each of the modes; the kind of each sample."""
    rows = [{"question": f"mode:{mode}", "answer": "B"} for mode in modes]
    (folder / "qa.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    samples: list[AccuracySample] = []
    spec = AccuracySpec(
        benchmark="qa", data="qa.jsonl", max_concurrency=TOGETHER, timeout_s=within_s
    )
    endpoint = Endpoint(base_url=server.url(), model="m", limits=LIMITS)
    evaluate(spec, endpoint, base_dir=folder, on_sample=samples.append, max_retries=0)
    return {sample.question.removeprefix("mode:"): sample.error_kind for sample in samples}


def test_of_questions_what_has_no_end_ends_by_its_size(
    server: HostileServer, tmp_path: Path
) -> None:
    expected = {mode: kind for mode, kind in (ENDLESS | ASKED).items() if mode not in READ_OVER}

    assert accuracy(server, [*expected], tmp_path, within_s=PLENTY_S) == expected


def test_of_questions_what_drips_ends_by_its_time(server: HostileServer, tmp_path: Path) -> None:
    modes = [*SLOW, *READ_OVER, "drip_of_an_error"]

    kinds = accuracy(server, modes, tmp_path, within_s=SHORT_S)

    assert kinds == dict.fromkeys(modes, "timeout")


def test_every_probe_ends(server: HostileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "LISTED_WITHIN_S", SHORT_S)

    def probe(mode: str) -> None:
        endpoint = Endpoint(base_url=server.url(mode, everything=True), model="m", limits=LIMITS)
        with suppress(probing.NotListed):
            assert len(probing.list_models(endpoint)) < 100_000
        probing.status_of(f"{endpoint.root_url}/health", within_s=SHORT_S)
        assert len(probing.read_page(endpoint, "/metrics", within_s=SHORT_S) or "") < 100_000
        assert len(probing.ask(endpoint, timeout_s=SHORT_S).detail) < 1_000

    modes = [*ENDLESS, *SLOW, "drip_of_an_error", *OF_PAGES]
    with ThreadPoolExecutor(TOGETHER) as pool:
        list(pool.map(probe, modes))


@pytest.mark.parametrize(
    ("what", "mode"),
    [
        ("load", "gigabyte_body"),
        ("load-in-python", "gzip_bomb"),
        ("accuracy", "twenty_million_objects"),
    ],
)
def test_with_the_limits_that_hold_unless_set_memory_stays_far_below_what_was_sent(
    what: str, mode: str
) -> None:
    with hostile_server() as port:
        cost = cost_of(what, mode, port)

    assert cost.is_bounded
    assert max(cost.tree_bytes, cost.process_bytes) < 800_000_000

"""Under load, servers do what servers do: say more than the answer, leave it open, close early."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from nightbench.endpoint import Endpoint
from nightbench.load.drive.ending import Ending
from nightbench.load.drive.jobs import GeneratorOptions
from nightbench.load.measure import MeasuredLevel, measure_level
from nightbench.load.plan.levels import plan_levels
from nightbench.load.plan.workloads import read_prompts
from nightbench.suite.models import LoadSpec
from tests.unit.load.answers import DONE, END, HEAD, event, framed, usage
from tests.unit.load.scripted_server import Script, ScriptedServer, Wire

TOKENS = [framed(event({"content": f" {n}"})) for n in range(4)]
STOP, USAGE, OVER = framed(event({}, "stop")), framed(usage(4)), framed(DONE)
REQUESTS = 8
both = pytest.mark.parametrize("compiled", [True, False], ids=["C", "Python"])


def drive(
    script: Script,
    work_dir: Path,
    *,
    compiled: bool = True,
    planning: dict[str, Any] | None = None,
    **fields: Any,
) -> tuple[MeasuredLevel, ScriptedServer]:
    spec = LoadSpec.model_validate(
        {
            "name": "w",
            "workload": {"kind": "random", "random_input_len": 5},
            "max_concurrency": 2,
            "num_prompts": REQUESTS,
            "timeouts_s": {"connect": 2, "first_token": 5, "between_tokens": 5, "total": 10},
        }
        | fields
    )
    (level,) = plan_levels(spec, **(planning or {}))
    prompts = read_prompts(spec.workload, level.prompts_needed, spec.seed, Path())
    options = GeneratorOptions(compiled=compiled, watch_prefix_cache=False)
    with ScriptedServer(script) as server:
        endpoint = Endpoint(base_url=server.base_url, model="m")
        measured = measure_level(level, prompts, endpoint, work_dir=work_dir, options=options)
    return measured, server


def rows_of(measured: MeasuredLevel) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(measured.requests_path).to_pylist()
    return rows


async def answer(wire: Wire, *end: bytes) -> None:
    await wire.send(HEAD, *TOKENS, gap_s=0.004)
    await wire.send(*(end or (STOP + USAGE + OVER + END,)))


def whole(measured: MeasuredLevel) -> bool:
    level = measured.level
    assert measured.errors == {}
    assert {len(row["chunk_tokens"]) for row in rows_of(measured)} == {4}
    return (level.completed, level.failed) == (REQUESTS, 0)


INTERIM = [
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Type: text/event-stream\r\n\r\n",
    b"HTTP/1.1 102 Processing\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n",
]


@both
@pytest.mark.parametrize("interim", [*[[one] for one in INTERIM], INTERIM])
def test_interim_responses_in_packets_of_their_own_are_no_answer(
    interim: list[bytes], compiled: bool, tmp_path: Path
) -> None:
    async def script(wire: Wire, number: int) -> bool:
        await wire.send(*interim, gap_s=0.02)
        await answer(wire)
        return True

    measured, server = drive(script, tmp_path, compiled=compiled)
    assert whole(measured)
    assert server.connections == 2
    assert measured.level.median_ttft_ms is not None
    assert measured.level.median_ttft_ms > 20 * len(interim)


OPEN_ENDS = {
    "done": STOP + USAGE + OVER,
    "done, cut into chunks": STOP + USAGE + framed(b"data: [DO") + framed(b"NE]\n\n"),
    "a finish reason with usage": STOP + USAGE,
    "a finish reason alone": STOP,
}


@both
@pytest.mark.parametrize("end", OPEN_ENDS.values(), ids=OPEN_ENDS.keys())
def test_a_slot_does_not_wait_for_a_response_whose_answer_is_over(
    end: bytes, compiled: bool, tmp_path: Path
) -> None:
    async def script(wire: Wire, number: int) -> bool:
        await answer(wire, end)
        await asyncio.sleep(60)
        return False

    measured, _ = drive(script, tmp_path, compiled=compiled)
    assert whole(measured)
    assert measured.level.duration_s < 4  # each would have waited for 5 s
    assert any("stayed open" in note for note in measured.notes)


def test_more_bytes_after_done_end_no_later(tmp_path: Path) -> None:
    async def script(wire: Wire, number: int) -> bool:
        await answer(wire, STOP + USAGE + OVER)
        await wire.send(*[framed(b": ping\n\n")] * 600, gap_s=0.01)
        return False

    measured, _ = drive(script, tmp_path)
    assert whole(measured)
    assert measured.level.duration_s < 4


def test_the_end_of_a_usual_response_is_waited_for_and_its_connection_kept(tmp_path: Path) -> None:
    async def script(wire: Wire, number: int) -> bool:
        await answer(wire, STOP + USAGE + OVER)
        await asyncio.sleep(0.01)
        await wire.send(END)
        return True

    measured, server = drive(script, tmp_path)
    assert whole(measured)
    assert (server.connections, measured.notes) == (2, ())


def test_one_of_two_choices_that_has_finished_does_not_end_the_answer(tmp_path: Path) -> None:
    def of(index: int, text: str, finish: str | None = None) -> bytes:
        choice = {"index": index, "delta": {"content": text}, "finish_reason": finish}
        return framed(event({}, choices=[choice], usage={"completion_tokens": 4}))

    async def script(wire: Wire, number: int) -> bool:
        await wire.send(HEAD, of(0, "a"), of(0, "", "stop"), of(1, "b"))
        await asyncio.sleep(0.6)
        await wire.send(of(1, "c"), of(1, "d", "stop") + OVER + END)
        return True

    fields = {"num_prompts": 2, "generation": {"n": 2}}
    measured, _ = drive(script, tmp_path, **fields)
    assert [len(row["chunk_tokens"]) for row in rows_of(measured)] == [4, 4]


STRAY = b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno"


@both
@pytest.mark.parametrize("behind", [b"junk", STRAY, STRAY[:30], b"\r\n\r\n\r\njunk"])
def test_what_follows_an_answer_is_not_credited_to_the_next(
    behind: bytes, compiled: bool, tmp_path: Path
) -> None:
    async def script(wire: Wire, number: int) -> bool:
        await answer(wire, STOP + USAGE + OVER + END + behind)
        await asyncio.sleep(1)
        return False

    measured, _ = drive(script, tmp_path, compiled=compiled)
    assert whole(measured)
    assert measured.level.duration_s < 3


@both
def test_a_request_that_met_a_closed_connection_is_sent_once_more(
    compiled: bool, tmp_path: Path
) -> None:
    async def script(wire: Wire, number: int) -> bool:
        await answer(wire)
        return False  # without having said so

    measured, server = drive(script, tmp_path, compiled=compiled)
    assert whole(measured)
    assert server.requests == REQUESTS
    resent = sum(row["resent"] for row in rows_of(measured))
    assert any("was sent again" in note for note in measured.notes) == (resent > 0)


def test_a_server_that_never_answers_is_asked_no_more_than_twice(tmp_path: Path) -> None:
    async def script(wire: Wire, number: int) -> bool:
        return False

    measured, server = drive(script, tmp_path)
    assert measured.level.completed == 0
    assert measured.errors.keys() <= {"cut", "reset"}
    assert server.requests <= 2 * REQUESTS


def test_an_answer_that_has_begun_is_never_asked_for_again(tmp_path: Path) -> None:
    async def script(wire: Wire, number: int) -> bool:
        await wire.send(HEAD if number % 2 else HEAD + TOKENS[0])
        return False

    measured, server = drive(script, tmp_path)
    assert (measured.level.failed, server.requests) == (REQUESTS, REQUESTS)


CLOSING = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
KEPT_ALIVE = {
    "comments": b": ping\n\n",
    "pings": b'event: ping\ndata: {"type": "ping"}\n\n',
    "empty deltas": event({"content": ""}),
}


@both
@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("kept_alive", KEPT_ALIVE.values(), ids=KEPT_ALIVE.keys())
def test_what_keeps_a_connection_alive_is_no_token(
    kept_alive: bytes, chunked: bool, compiled: bool, tmp_path: Path
) -> None:
    framing: Callable[[bytes], bytes] = framed if chunked else bytes

    async def script(wire: Wire, number: int) -> bool:
        await wire.send(HEAD if chunked else CLOSING)
        await wire.send(framing(event({"content": "a"})))
        await wire.send(*[framing(kept_alive)] * 100, gap_s=0.03)
        return False

    timeouts = {"connect": 2, "first_token": 1, "between_tokens": 0.4, "total": 5}
    measured, _ = drive(script, tmp_path, compiled=compiled, num_prompts=2, timeouts_s=timeouts)
    assert measured.errors.keys() == {"timeout_between_tokens"}


def test_an_answer_that_is_not_streamed_has_all_its_time(tmp_path: Path) -> None:
    body = b'{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}'

    async def script(wire: Wire, number: int) -> bool:
        await asyncio.sleep(0.7)
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body[:9])
        await asyncio.sleep(0.7)
        await wire.send(body[9:])
        return True

    timeouts = {"connect": 2, "first_token": 0.3, "between_tokens": 0.3, "total": 5}
    planning = {"stream": False}
    measured, _ = drive(script, tmp_path, planning=planning, num_prompts=2, timeouts_s=timeouts)
    assert (measured.level.completed, measured.errors) == (2, {})


def test_tokens_of_another_shape_count_for_timeouts_by_the_persons_own_parser(
    tmp_path: Path,
) -> None:
    (tmp_path / "rp.py").write_text(
        'def parse(e):\n    return {"choices": [{"delta": {"content": e.get("tok", "")}, '
        '"finish_reason": e.get("end")}]}\n'
    )

    async def script(wire: Wire, number: int) -> bool:
        await wire.send(HEAD)
        await wire.send(*[framed(b'data: {"tok": "w"}\n\n')] * 10, gap_s=0.1)
        await wire.send(framed(b'data: {"end": "stop"}\n\n') + OVER + END)
        return True

    timeouts = {"connect": 2, "first_token": 0.4, "between_tokens": 0.4, "total": 5}
    planning = {"response_parser": f"{tmp_path / 'rp.py'}:parse"}
    measured, _ = drive(script, tmp_path, planning=planning, num_prompts=2, timeouts_s=timeouts)
    assert (measured.level.completed, measured.errors) == (2, {})


def test_why_a_warm_up_failed_is_told(tmp_path: Path) -> None:
    async def script(wire: Wire, number: int) -> bool:
        if number == 1:
            await wire.send(b"HTTP/1.1 503 No\r\nContent-Length: 7\r\n\r\nloading")
        else:
            await answer(wire)
        return True

    measured, _ = drive(script, tmp_path, warmup_prompts=1)
    assert whole(measured)
    [note] = measured.notes
    assert "warm-up" in note
    assert "HTTP 503 Service Unavailable: loading" in note


def test_empty_answers_have_a_reason_of_their_own(tmp_path: Path) -> None:
    async def script(wire: Wire, number: int) -> bool:
        await asyncio.sleep(0.02)
        await wire.send(HEAD + framed(event({"content": ""}, "stop")) + OVER + END)
        return True

    for _ in range(5):  # a busy machine really lags; an empty answer does not
        measured, _ = drive(script, tmp_path)
        if "client_lag" not in measured.level.invalid_reasons:
            break
    assert measured.level.invalid_reasons == ["empty_answers"]
    assert measured.level.duration_s > 0.05
    assert measured.level.mean_tpot_ms is None


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ([b"data: [DONE]\n\n"], "done"),
        ([b"data: {}\n\ndata:[DO", b"NE]\r\n\r\n"], "done"),
        ([b'data: {"content": "data: [DONE]\\n"}\n\n'], None),
        ([b'data: {"content": "\\"finish_reason\\":\\"stop\\""}\n\n'], None),
        ([b'data: {"finish_reason":null}\n\n'], None),
        ([b'data: {"finish_reason": "stop"}\n\n'], "finished"),
        ([b'data: {"finish_reason":"stop","usage":{"completion_tokens": 4}}\n\n'], "counted"),
        ([b'data: {"finish_reason": "stop"}'], None),
    ],
)
def test_the_end_is_what_an_event_says_and_no_text_in_it(
    pieces: list[bytes], said: str | None
) -> None:
    ending = Ending(1)
    for piece in pieces:
        ending.add(piece)
        found = ending.look()
    assert found == said

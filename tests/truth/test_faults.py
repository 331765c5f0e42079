"""Every way a server can answer, in one level each and all together, against its own record."""

from __future__ import annotations

import socketserver
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from nightbench.endpoint import Endpoint
from nightbench.load.drive.jobs import GeneratorOptions
from nightbench.load.measure import measure_level
from tests.truth.driving import drive, planned, requests_of
from tests.truth.faults import EXPECTED_KIND
from tests.truth.reference import ReferenceServer

pytestmark = pytest.mark.truth
TOKENS = 8


@pytest.fixture(scope="module")
def server() -> Iterator[ReferenceServer]:
    with ReferenceServer() as server:
        yield server


@pytest.mark.parametrize("fault", sorted(EXPECTED_KIND))
def test_each_answer_is_told_for_what_it_is(
    server: ReferenceServer, tmp_path: Path, fault: str
) -> None:
    server.plan([fault])
    measured = drive(server, tmp_path, max_concurrency=2, num_prompts=4)
    rows = requests_of(measured)
    assert [row["error_kind"] for row in rows] == [EXPECTED_KIND[fault]] * 4
    if EXPECTED_KIND[fault] is None:
        assert {row["completion_tokens"] for row in rows} == {TOKENS}
        assert {sum(row["chunk_tokens"]) for row in rows} == {TOKENS}
        assert all(18 < row["ttft_ms"] < 200 for row in rows)


@pytest.mark.parametrize("compiled", [True, False], ids=["in C", "in Python"])
def test_a_thousand_requests_with_every_fault_are_counted_by_the_servers_own_record(
    server: ReferenceServer, tmp_path: Path, compiled: bool
) -> None:
    faults = sorted(EXPECTED_KIND)
    server.plan(faults)
    how = {"options": GeneratorOptions(compiled=compiled)}
    measured = drive(server, tmp_path, how=how, max_concurrency=100, num_prompts=1000)
    expected = Counter(EXPECTED_KIND[record["fault"]] for record in server.truth())
    assert sum(expected.values()) == 1000
    assert Counter(row["error_kind"] for row in requests_of(measured)) == expected
    assert measured.level.failed == 1000 - expected[None]
    assert "failures" in measured.level.invalid_reasons
    assert server.connections() == 0


def test_a_429_keeps_what_the_server_said_about_waiting(
    server: ReferenceServer, tmp_path: Path
) -> None:
    server.plan(["http_429"])
    rows = requests_of(drive(server, tmp_path, max_concurrency=1, num_prompts=1))
    assert rows[0]["http_status"] == 429
    assert rows[0]["error"].startswith("HTTP 429 Too Many Requests, Retry-After: 7: ")


def test_a_server_that_is_not_there_is_a_failure_and_not_an_exception(tmp_path: Path) -> None:
    server = ReferenceServer()
    with server:
        endpoint = server.endpoint
    level, prompts = planned(max_concurrency=4, num_prompts=20)
    measured = measure_level(level, prompts, endpoint, work_dir=tmp_path)
    assert {row["error_kind"] for row in requests_of(measured)} == {"connect_refused"}
    assert measured.level.failed == 20
    assert not measured.level.valid


def test_reasoning_comes_before_the_answer(server: ReferenceServer, tmp_path: Path) -> None:
    server.plan(["reasoning_content"])
    measured = drive(server, tmp_path, max_concurrency=1, num_prompts=2)
    for row in requests_of(measured):
        # Half of the tokens are thought. When the server had the time to write them is its affair.
        gaps_ms = [delta / 1000 for delta in row["chunk_deltas_us"][1:]]
        assert row["ttfat_ms"] == pytest.approx(
            row["ttft_ms"] + sum(gaps_ms[: TOKENS // 2]), abs=0.01
        )


class _Upgrade(socketserver.BaseRequestHandler):
    """Answers every request with another protocol."""

    def handle(self) -> None:
        while self.request.recv(65536):
            upgrade = b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
            self.request.sendall(upgrade)


def test_an_upgrade_nobody_asked_for_is_a_failed_request(tmp_path: Path) -> None:
    level, prompts = planned(max_concurrency=2, num_prompts=4)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Upgrade) as upgrading:
        upgrading.daemon_threads = True
        threading.Thread(target=upgrading.serve_forever, daemon=True).start()
        port = upgrading.server_address[1]
        endpoint = Endpoint(base_url=f"http://127.0.0.1:{port}/v1", model="m")
        options = GeneratorOptions(watch_prefix_cache=False)
        measured = measure_level(level, prompts, endpoint, work_dir=tmp_path, options=options)
        upgrading.shutdown()
    assert [row["error_kind"] for row in requests_of(measured)] == ["malformed"] * 4

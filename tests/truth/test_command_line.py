"""`nightbench load` from the command line to its files, against the reference server."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nightbench.load.drive.jobs import GeneratorOptions, plan_jobs
from nightbench.load.plan.request_bytes import write_bodies
from nightbench.load.summarize.level_arrays import COLUMNS
from tests.truth.driving import planned
from tests.truth.reference import ReferenceServer

pytestmark = pytest.mark.truth


@pytest.fixture(scope="module")
def server() -> Iterator[ReferenceServer]:
    with ReferenceServer(ttft_ms=20, itl_ms=5) as server:
        yield server


def argv_of(server: ReferenceServer, *more: str) -> list[str]:
    base = [sys.executable, "-m", "nightbench.cli.main", "load", "--model", "truth"]
    return [*base, "--base-url", server.endpoint.base_url, "--max-tokens", "8", *more]


def load(
    server: ReferenceServer, *more: str, fault: str = "none"
) -> subprocess.CompletedProcess[str]:
    server.plan([fault])
    server.reset()
    return subprocess.run(
        argv_of(server, *more), capture_output=True, text=True, timeout=60, check=False
    )


def test_levels_end_as_a_table_json_and_parquet(server: ReferenceServer, tmp_path: Path) -> None:
    json_path, requests_path = tmp_path / "o.json", tmp_path / "o.parquet"
    done = load(
        server,
        *("--max-concurrency", "2,4", "--num-prompts", "20", "--goodput", "ttft:500,tpot:50"),
        *("--json", str(json_path), "--requests", str(requests_path)),
    )
    assert done.returncode == 0, done.stderr
    assert "c2" in done.stdout
    assert "tok/s" in done.stdout
    levels = json.loads(json_path.read_text())["levels"]
    assert [level["max_concurrency"] for level in levels] == [2, 4]
    for level in levels:
        assert level["completed"] == level["num_prompts"] == 20
        assert 15 < level["mean_ttft_ms"] < 100
        assert level["p99_tpot_ms"] > 4
        assert level["goodput"] > 0
        assert level["intervals"]["ttft_ms"]["median"][0] <= level["median_ttft_ms"]
        assert level["intervals"]["ttft_ms"]["p99"] is None
    table = pq.read_table(requests_path)
    assert tuple(table.column_names) == COLUMNS
    assert table["level"].to_pylist() == ["c2"] * 20 + ["c4"] * 20


def test_the_first_request_leaves_within_a_second(server: ReferenceServer) -> None:
    taken = []
    for _ in range(3):
        begun = time.perf_counter_ns()
        assert load(server, "--max-concurrency", "1", "--num-prompts", "6").returncode == 0
        taken.append((min(r["recv_ns"] for r in server.truth()) - begun) / 1e9)
    assert min(taken) < 1.0


def test_an_invalid_level_fails_only_under_strict(server: ReferenceServer) -> None:
    few = ("--max-concurrency", "1", "--num-prompts", "3")
    said = load(server, *few)
    assert said.returncode == 0
    assert "too_few_requests" in said.stderr
    assert load(server, *few, "--strict").returncode == 4


def test_nobody_at_the_url_is_one_clear_message() -> None:
    gone = ReferenceServer()
    with gone:
        argv = argv_of(gone, "--max-concurrency", "2")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "no response from http://127.0.0.1" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_keeps_the_levels_that_were_done(server: ReferenceServer, tmp_path: Path) -> None:
    server.plan(["none"])
    json_path = tmp_path / "o.json"
    argv = argv_of(
        server,
        *("--max-concurrency", "4,1", "--num-prompts", "40", "--max-tokens", "40"),
        *("--json", str(json_path)),
    )
    server.reset()
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    while len(server.truth()) < 42:  # the second level has begun
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert [level["level"] for level in json.loads(json_path.read_text())["levels"]] == ["c4"]
    assert not generators()


def test_a_generator_whose_parent_goes_before_it_is_ready_ends_without_a_word(
    server: ReferenceServer, tmp_path: Path
) -> None:
    level, prompts = planned(max_concurrency=[1], num_prompts=5)
    write_bodies(level, prompts, "truth", tmp_path / "bodies")
    (job,) = plan_jobs(level, server.endpoint, tmp_path / "bodies", GeneratorOptions())
    argv = [sys.executable, "-m", "nightbench.load.drive.generator"]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write(b"%d\n%b" % (len(job.encode()), job.encode()))
        process.stdin.flush()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.0)  # it has said that it is ready, to nobody
        process.stdin.close()
        assert process.stderr.read() == b""


def generators() -> list[int]:
    """Generator processes on this machine that were started by nobody who still lives."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            argv = path.read_bytes()
            parent = int(path.with_name("stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        if b"nightbench.load.drive.generator" in argv and parent in (1, os.getpid()):
            found.append(int(path.parent.name))
    return found


def test_a_parent_that_is_killed_takes_its_generators_with_it(server: ReferenceServer) -> None:
    server.plan(["none"])
    server.reset()
    argv = argv_of(server, "--max-concurrency", "2", "--num-prompts", "5000")
    process = subprocess.Popen(argv)
    while not server.truth():
        time.sleep(0.05)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while server.connections() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.connections() == 0


def test_what_failed_is_said_with_the_servers_own_words(server: ReferenceServer) -> None:
    done = load(server, "--max-concurrency", "2", "--num-prompts", "8", fault="http_429")
    assert done.returncode == 0, done.stderr
    assert "nightbench: level c2 is INVALID: too_few_requests, failures" in done.stderr
    [said] = [line for line in done.stderr.splitlines() if "rate_limited" in line]
    assert f"rate_limited: {server.endpoint.base_url}/chat/completions: HTTP 429 " in said
    assert "Retry-After: 7: " in said
    assert "injected" in said

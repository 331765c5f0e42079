"""Real vLLM, killed at bad moments: found out, ended, and not a process left."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from scene import Scene

from nightbench.errors import (
    ArgumentsRefused,
    BootFailed,
    BootTimeout,
    ServerDied,
    ServerError,
    ServerHung,
)
from nightbench.serving import probing, processes
from nightbench.serving.server import Server
from nightbench.serving.supervise.launcher import Options
from nightbench.serving.supervise.supervisor_client import wait_until

pytestmark = [pytest.mark.fault, pytest.mark.engine, pytest.mark.timeout(900)]


@contextmanager
def load(server: Server, streams: int = 4) -> Iterator[None]:
    """Requests in flight, all the time."""
    stop = threading.Event()
    body = {"model": "tiny", "prompt": "Hello", "max_tokens": 400, "ignore_eos": True}

    def keep_asking() -> None:
        with httpx.Client(timeout=300, trust_env=False) as client:
            while not stop.is_set():
                try:
                    client.post(
                        f"{server.endpoint.base_url}/completions",
                        json=body,
                        headers=server.endpoint.request_headers(),
                    )
                except httpx.HTTPError:
                    stop.wait(0.1)

    threads = [threading.Thread(target=keep_asking, daemon=True) for _ in range(streams)]
    for thread in threads:
        thread.start()
    try:
        assert wait_until(lambda: server.read_counters().get("requests_running", 0) > 0, 30)
        yield
    finally:
        stop.set()
        # The server is gone soon after, and with it what they wait for.


def trouble_within(server: Server, seconds: float) -> str | None:
    wait_until(lambda: server.trouble() is not None, seconds)
    return server.trouble()


def test_a_stolen_port_is_replaced_and_sigkill_of_the_api_process_ends_both_ranks(
    scene: Scene,
) -> None:
    """One boot for both: the port is taken between choice and bind, the next one is served on."""

    def measure() -> None:
        target = scene.target(tensor_parallel_size=2)
        with thief(scene) as stolen, scene.serve(target) as server, load(server):
            assert server.endpoint.root_url != f"http://{probing.HOST}:{stolen[0]}"
            assert len(scene.called("VLLM::Worker")) == 2
            os.kill(api_process(scene), signal.SIGKILL)
            assert trouble_within(server, 30) == "server_died"
            server.check()

    with pytest.raises(ServerDied, match="tiny died"):
        measure()
    scene.assert_all_gone()
    assert [row.exit_reason for row in scene.rows] == ["boot_failed", "died"]
    assert all(row.teardown_clean for row in scene.rows)


@contextmanager
def thief(scene: Scene) -> Iterator[list[int]]:
    """Somebody who takes the first port that is chosen, before the engine binds it."""
    stolen: list[int] = []
    listener = socket.socket()

    def steal() -> None:
        assert wait_until(lambda: bool(scene.remember()) and scene.port > 0, 120)
        listener.bind((probing.HOST, scene.port))
        listener.listen()
        stolen.append(scene.port)

    thread = threading.Thread(target=steal)
    thread.start()
    try:
        yield stolen
    finally:
        thread.join(120)
        listener.close()


def api_process(scene: Scene) -> int:
    """`vllm serve` itself: not its keepers, which carry its argv too."""
    engines = [
        pid
        for pid in scene.called("serve")
        if b"supervisor.py" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return min(engines, key=processes.parent_of)


def test_a_stopped_worker_is_a_hang_and_ended_within_a_minute(scene: Scene) -> None:
    """And where the kernel allows no PID namespace, its tree of two ranks goes as well."""
    took_s = []

    def measure() -> None:
        target = scene.target(tensor_parallel_size=2)
        with scene.serve(target, Options(isolation="watchdog")) as server, load(server):
            began = time.monotonic()
            os.kill(scene.called("VLLM::Worker")[-1], signal.SIGSTOP)
            assert httpx.get(f"{server.endpoint.root_url}/health", trust_env=False).is_success
            try:
                assert trouble_within(server, 60) == "server_hung"
                server.check()
            finally:
                took_s.append(time.monotonic() - began)

    with pytest.raises(ServerHung, match="makes no progress"):
        measure()
    scene.assert_all_gone()
    assert took_s[0] < 60
    assert [row.exit_reason for row in scene.rows] == ["hung"]


def test_a_full_disk_under_the_log_is_no_matter_and_sigkill_of_the_supervisor_ends_it_all(
    scene: Scene,
) -> None:
    """One boot for both: first nothing happens to the measurement, then everything does."""
    log = scene.folder / "run" / "server-1" / "server.log"
    log.parent.mkdir(parents=True)
    log.symlink_to("/dev/full")

    def measure() -> None:
        with scene.serve(scene.target()) as server, load(server):
            assert server.look() is None
            guard = next(pid for pid in scene.seen if processes.parent_of(pid) == os.getpid())
            supervisor = next(pid for pid in scene.seen if processes.parent_of(pid) == guard)
            os.kill(supervisor, signal.SIGKILL)
            scene.assert_all_gone()
            assert trouble_within(server, 5) == "server_died"
            server.check()

    with pytest.raises(ServerDied):
        measure()
    assert log.readlink() == Path("/dev/full"), "it was written elsewhere"
    assert [row.exit_reason for row in scene.rows] == ["died"]
    assert scene.rows[0].teardown_clean


def boot_fails(scene: Scene, kind: type[ServerError], **fields: object) -> ServerError:
    """Boot and fail as `kind`, and leave nothing."""
    with (
        scene.watched(),
        pytest.raises(kind) as caught,
        scene.serve(scene.target(**fields)),  # type: ignore[arg-type]
    ):
        pytest.fail("it must not become ready")
    scene.assert_all_gone()
    assert scene.rows[0].teardown_clean
    return caught.value


def test_an_argument_that_vllm_does_not_take_boots_nothing(scene: Scene) -> None:
    target = scene.target(args={"no-such-option": "1"})
    with (
        scene.watched(),
        pytest.raises(ArgumentsRefused, match=r"engine\.args\.no-such-option"),
        scene.serve(target),
    ):
        pytest.fail("it must not become ready")
    assert not scene.seen
    assert scene.rows == []


def test_what_only_a_boot_finds_out_ends_it_with_vllms_own_words(scene: Scene) -> None:
    error = boot_fails(scene, BootFailed, args={"num-gpu-blocks-override": "1"})
    assert "ValueError: No available memory" in error.log_tail, (
        "the root cause stands far above vLLM's last lines"
    )
    assert [row.exit_reason for row in scene.rows] == ["boot_failed"]


def test_a_server_that_dies_of_its_first_request_is_not_ready(
    scene: Scene, tiny_llama: Callable[[int], Path]
) -> None:
    error = boot_fails(scene, BootFailed, model=str(tiny_llama(16)))
    assert error.log_tail
    assert [row.exit_reason for row in scene.rows] == ["boot_failed"]


def test_a_boot_that_takes_too_long_is_ended(scene: Scene) -> None:
    error = boot_fails(scene, BootTimeout, boot_timeout_s=6)
    assert "within 6 s" in error.message
    assert [row.exit_reason for row in scene.rows] == ["boot_timeout"]

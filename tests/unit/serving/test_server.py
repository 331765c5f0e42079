"""Serving, with a real process that boots at once: every way in, every way out."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from small_server import MODEL, handler

from nightbench.errors import (
    BadInput,
    BootFailed,
    BootTimeout,
    EndpointError,
    LeaseError,
    ServerDied,
)
from nightbench.home.paths import Home
from nightbench.progress import Progress, ignore
from nightbench.records import ServerRow
from nightbench.serving import probing, processes
from nightbench.serving.hardware import reaper
from nightbench.serving.hardware.gpus import Inventory
from nightbench.serving.hardware.machine import Machine
from nightbench.serving.server import Server, serve
from nightbench.serving.supervise.launcher import Options
from nightbench.serving.supervise.supervisor_client import wait_until
from nightbench.suite.models import Target

SMALL_SERVER = Path(__file__).with_name("small_server.py")


def small(*flags: str, boot_timeout_s: float = 30, env: dict[str, str] | None = None) -> Target:
    return Target.model_validate(
        {
            "name": "small",
            "boot_timeout_s": boot_timeout_s,
            "engine": {
                "kind": "command",
                "argv": [sys.executable, str(SMALL_SERVER), "{port}", *flags],
                "env": env or {},
            },
        }
    )


class Bench:
    """A folder to serve in, and the rows of the launches."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[ServerRow] = []
        (folder / "leases").mkdir()
        self.machine = Machine(inventory=Inventory(), cores=(0,), leases=folder / "leases")

    @contextmanager
    def serve(
        self,
        target: Target,
        options: Options = Options(grace_s=1.0),  # noqa: B008
        on_progress: Callable[[Progress], None] = ignore,
    ) -> Iterator[Server]:
        with serve(
            target,
            Home(self.folder),
            base_dir=self.folder,
            run_dir=self.folder / "run",
            machine=self.machine,
            on_progress=on_progress,
            on_row=self.rows.append,
            options=options,
        ) as server:
            yield server

    def tree(self) -> dict[int, int]:
        """The processes of the living launch, as its lease names them, with start times."""
        states = reaper.states(self.machine.leases)
        return {pid: s[1] for st in states for pid in st.living if (s := processes.stat_of(pid))}

    def assert_gone(self, tree: dict[int, int], port: int) -> None:
        assert tree
        assert not [pid for pid, start in tree.items() if processes.is_same(pid, start)]
        assert not probing.is_listening("127.0.0.1", port)
        assert [s for s in reaper.states(self.machine.leases) if s.held or s.is_leftover] == []


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def port_of(server: Server) -> int:
    return int(server.endpoint.root_url.rsplit(":", 1)[1])


def post(server: Server) -> httpx.Response:
    return httpx.post(f"{server.endpoint.base_url}/completions", json={}, trust_env=False)


def test_a_server_answers_inside_the_block_and_is_gone_after_it(bench: Bench) -> None:
    with bench.serve(small()) as server:
        port, tree = port_of(server), bench.tree()
        assert server.endpoint.model == MODEL
        assert post(server).status_code == 200
        assert server.trouble() is None
        living = server.row()
        assert living is not None
        assert living.pid in tree
        assert living.exit_reason is None
    bench.assert_gone(tree, port)
    row = bench.rows[0]
    assert (row.exit_reason, row.teardown_clean) == ("stopped", True)
    assert row.boot_s is not None
    assert row.teardown_s is not None
    assert row.teardown_s < 2


@pytest.mark.parametrize(
    ("error", "reason"),
    [(ValueError, "stopped"), (KeyboardInterrupt, "cancelled"), (GeneratorExit, "cancelled")],
)
def test_however_the_block_is_left_nothing_stays(
    bench: Bench, error: type[BaseException], reason: str
) -> None:
    seen: list[tuple[dict[int, int], int]] = []

    def measure() -> None:
        with bench.serve(small("--stubborn")) as server:
            seen.append((bench.tree(), port_of(server)))
            raise error

    with pytest.raises(error):
        measure()
    bench.assert_gone(*seen[0])
    assert [row.exit_reason for row in bench.rows] == [reason]


def test_a_server_that_dies_at_boot_says_its_last_words(bench: Bench) -> None:
    with (
        pytest.raises(BootFailed, match="exit code 1") as caught,
        bench.serve(small("--die-at-boot")),
    ):
        pytest.fail("it never was ready")
    assert "Fatal: --no-such-option is not an option" in caught.value.log_tail
    assert [row.exit_reason for row in bench.rows] == ["boot_failed"]
    assert "Fatal" in (bench.rows[0].log_tail or "")


def test_a_server_that_is_healthy_and_cannot_answer_is_not_ready(bench: Bench) -> None:
    with (
        pytest.raises(BootFailed, match=r"its first completion failed: HTTP 500.*head size"),
        bench.serve(small("--fail-answers")),
    ):
        pytest.fail("it never was ready")
    assert [row.exit_reason for row in bench.rows] == ["boot_failed"]


def test_a_server_that_is_never_ready_runs_out_of_time(bench: Bench) -> None:
    with (
        pytest.raises(BootTimeout, match="not ready within 1 s"),
        bench.serve(small("--never-ready", boot_timeout_s=1)),
    ):
        pytest.fail("it never was ready")
    assert [row.exit_reason for row in bench.rows] == ["boot_timeout"]
    assert bench.rows[0].teardown_clean


def test_a_death_while_measuring_is_trouble_with_last_words(bench: Bench) -> None:

    def measure() -> None:
        with bench.serve(small("--die-after-answers", "1")) as server:
            with pytest.raises(httpx.HTTPError):
                post(server)
            assert wait_until(lambda: server.trouble() is not None, 5)
            assert server.trouble() == "server_died"
            server.check()

    with pytest.raises(ServerDied, match="exit code 3") as caught:
        measure()
    assert "Fatal: out of memory" in caught.value.log_tail
    assert [(row.exit_reason, row.exit_code) for row in bench.rows] == [("died", 3)]


def test_a_server_whose_engine_is_dead_is_found_out_when_looked_at(bench: Bench) -> None:
    """Its process lives, and its requests fail faster than anybody could notice."""

    def measure() -> None:
        with bench.serve(small("--sick-after-answers", "1")) as server:
            assert server.look() is None
            assert post(server).status_code == 500
            assert server.look() == server.trouble() == "server_died"
            server.check()

    with pytest.raises(ServerDied):
        measure()
    assert [row.exit_reason for row in bench.rows] == ["died"]


def test_a_port_stolen_before_the_bind_is_replaced_by_another(bench: Bench) -> None:
    """The thief answers /health like a server of ours would: it must not be measured."""
    folder, ports = bench.folder, []

    def steal() -> None:
        announced = folder / "port"
        assert wait_until(announced.exists, 20)
        ports.append(int(announced.read_text()))
        import argparse

        behaviour = argparse.Namespace(
            never_ready=False,
            fail_answers=False,
            die_after_answers=None,
            sick_after_answers=None,
        )
        thief = ThreadingHTTPServer(("127.0.0.1", ports[0]), handler(behaviour))
        thieves.append(thief)
        (folder / "stolen").touch()
        thief.serve_forever(poll_interval=0.05)

    thieves: list[ThreadingHTTPServer] = []
    thread = threading.Thread(target=steal)
    thread.start()
    try:
        with bench.serve(small("--announce-port", str(folder))) as server:
            assert port_of(server) != ports[0]
            assert httpx.get(f"http://127.0.0.1:{ports[0]}/health", trust_env=False).is_success
    finally:
        for thief in thieves:
            thief.shutdown()
            thief.server_close()
        thread.join(10)
    assert [row.exit_reason for row in bench.rows] == ["boot_failed", "stopped"]


def test_a_wanted_port_that_is_taken_is_refused_with_its_owner(bench: Bench) -> None:
    with bench.serve(small()) as server:
        elsewhere = replace(bench.machine, cores=(1,))
        bench.machine = elsewhere
        with (
            pytest.raises(BadInput, match="is taken by pid"),
            bench.serve(small(), Options(port=port_of(server))),
        ):
            pytest.fail("it must not start")


def test_two_that_want_the_same_cores_follow_each_other(bench: Bench) -> None:
    order: list[str] = []
    said: list[Progress] = []

    def second() -> None:
        with bench.serve(small(), on_progress=said.append):
            order.append("second serves")

    with bench.serve(small()):
        thread = threading.Thread(target=second)
        thread.start()
        assert wait_until(lambda: any(p.phase == "lease" for p in said), 10)
        with (
            pytest.raises(LeaseError, match="small"),
            bench.serve(small(), Options(wait_for_lease=False)),
        ):
            pytest.fail("the cores are not free")
        order.append("first ends")
    thread.join(30)
    assert order == ["first ends", "second serves"]
    assert "waiting: cores are leased by small" in next(p.detail for p in said)


def test_no_secret_is_in_anything_a_launch_leaves(bench: Bench) -> None:
    canary = "canary-5f0e1d"
    with bench.serve(small("--shout", env={"UPSTREAM_API_KEY": canary})) as server:
        key = server.endpoint.api_key
        leases = [path.read_text() for path in bench.machine.leases.iterdir()]
    log = (bench.folder / "run" / "server-1" / "server.log").read_text()
    assert "UPSTREAM_API_KEY" in log, "the server did print its environment"
    left = [path.read_text(errors="replace") for path in bench.folder.rglob("*") if path.is_file()]
    for text in [*left, *leases, repr(bench.rows), repr(server.endpoint)]:
        assert canary not in text
        assert key not in text


def test_telemetry_comes_while_it_serves(bench: Bench) -> None:
    with bench.serve(small()) as server:
        rows = []

        def enough() -> bool:
            rows.extend(server.drain_telemetry())
            return len({row.read_at for row in rows}) >= 2

        assert wait_until(enough, 10)
    assert {row.name for row in rows} == {"cpu_cores_used", "rss_bytes"}
    assert all(row.value > 1e6 for row in rows if row.name == "rss_bytes")


def test_a_remote_server_is_checked_and_left_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nightbench.serving.server.REMOTE_S", 1.0)
    with bench.serve(small()) as server:
        remote = {"kind": "remote", "base_url": server.endpoint.root_url}
        target = Target.model_validate({"name": "far", "engine": remote})
        with bench.serve(target) as far:
            assert far.endpoint.model == MODEL
            assert far.endpoint.base_url == server.endpoint.base_url
            assert far.row() is None
        assert post(server).status_code == 200
    with pytest.raises(EndpointError, match="Connection refused"), bench.serve(target):
        pytest.fail("nobody is there")

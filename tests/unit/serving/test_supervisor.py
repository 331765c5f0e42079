"""The supervisor, as the real process it is: whatever dies, the engine's tree dies too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nightbench.serving import processes, scratch
from nightbench.serving.hardware import lease_files
from nightbench.serving.hardware.lease_records import Record
from nightbench.serving.hardware.reaper import reap, states
from nightbench.serving.supervise.supervisor import isolation_prefix
from nightbench.serving.supervise.supervisor_client import (
    SUPERVISOR,
    Isolation,
    LogFollower,
    Order,
    Supervised,
    tail_of,
    wait_until,
)

SOON_S = 10.0
# An engine with a child that leaves the session and is adopted by somebody else.
TREE = "(setsid sleep 1000 & ) ; sleep 1000 & echo up; wait"
STUBBORN = "trap '' TERM; (setsid sleep 1000 & ) ; echo up; while :; do sleep 0.1; done"

HERE: list[Isolation] = ["watchdog", "auto"] if isolation_prefix("auto") else ["watchdog"]


@pytest.fixture(params=HERE)
def isolation(request: pytest.FixtureRequest) -> Isolation:
    mode: Isolation = request.param
    return mode


class Running:
    """A supervised shell script, with its lease."""

    def __init__(self, folder: Path, script: str, isolation: Isolation, **fields: object) -> None:
        self.leases = folder / "leases"
        self.leases.mkdir(exist_ok=True)
        claim = lease_files.announce(self.leases, "core-0", {})
        self.scratch = scratch.make()
        values: dict[str, object] = {
            "argv": ("bash", "-c", script),
            "env": {"PATH": os.environ["PATH"]},
            "secrets": ("canary-1234",),
            "run_dir": folder / "run",
            "claims": (claim,),
            "scratch": self.scratch,
            "record": {"subject": "t", "port": 1},
            "grace_s": 0.5,
            "isolation": isolation,
        }
        self.supervised = Supervised(Order(**(values | fields)))  # type: ignore[arg-type]
        os.close(claim.fd)
        self.scratch.hand_over()

    def wait_for_output(self, text: str = "up") -> None:
        assert wait_until(lambda: text in tail_of(self.supervised.order.log_path), SOON_S)
        assert wait_until(lambda: self.supervised.report().engine_pid is not None, SOON_S)

    def tree(self) -> dict[int, int]:
        """Every process with its start time."""
        pids = self.supervised.tree()
        return {pid: stat[1] for pid in pids if (stat := processes.stat_of(pid))}

    def record(self) -> Record | None:
        found = states(self.leases)
        return found[0].record if found else None

    def is_leased(self) -> bool:
        return any(state.held for state in states(self.leases))

    def is_gone(self, tree: dict[int, int]) -> bool:
        return not any(processes.is_same(pid, start) for pid, start in tree.items())


@pytest.fixture
def start(tmp_path: Path, isolation: Isolation) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def begin(script: str = TREE, **fields: object) -> Running:
        started.append(Running(tmp_path, script, isolation, **fields))
        return started[-1]

    yield begin
    for running in started:
        tree = running.tree()
        running.supervised.request_stop(kill=True)
        assert running.supervised.wait(SOON_S)
        assert wait_until(lambda tree=tree, running=running: running.is_gone(tree), SOON_S)  # type: ignore[misc]


Start = Callable[..., Running]


def assert_all_gone(running: Running, tree: dict[int, int]) -> None:
    assert len(tree) >= 5, tree
    assert wait_until(lambda: running.is_gone(tree), SOON_S)
    assert wait_until(lambda: not running.is_leased(), SOON_S)
    assert list(running.leases.iterdir()) == []
    assert not running.scratch.path.exists()


def test_it_starts_in_under_100_ms() -> None:
    """Once in twenty will do: what others of this machine take is not its own."""

    def took_s() -> float:
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-I", "-S", str(SUPERVISOR)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        return time.perf_counter() - began

    assert any(took_s() < 0.1 for _ in range(20))


def test_a_stop_ends_everything_even_what_left_the_session(start: Start) -> None:
    running = start()
    running.wait_for_output()
    tree = running.tree()
    assert running.is_leased()
    running.supervised.request_stop()
    assert_all_gone(running, tree)
    assert running.supervised.report().reason == "stop_requested"


def test_what_ignores_sigterm_is_killed_after_the_grace(start: Start) -> None:
    running = start(STUBBORN)
    running.wait_for_output()
    tree = running.tree()
    running.supervised.request_stop()
    assert_all_gone(running, tree)
    assert (running.supervised.report().teardown_s or 0) >= 0.5


def test_a_kill_gives_no_grace(start: Start) -> None:
    running = start(STUBBORN, grace_s=60.0)
    running.wait_for_output()
    tree = running.tree()
    running.supervised.request_stop(kill=True)
    assert_all_gone(running, tree)


def test_the_engines_own_end_ends_its_tree_and_is_reported(start: Start) -> None:
    running = start(
        "(setsid sleep 1000 & ) ; echo up; until [ -e go ]; do sleep 0.05; done; exit 7"
    )
    running.wait_for_output()
    tree = running.tree()
    (running.supervised.order.run_dir / "go").touch()
    assert wait_until(lambda: not running.supervised.running(), SOON_S)
    assert_all_gone(running, tree)
    assert running.supervised.report().exit_code == 7
    assert running.supervised.report().reason == "exited"


@pytest.mark.parametrize("who", ["guard", "supervisor", "init", "engine"])
def test_sigkill_of_any_one_of_them_ends_the_tree(start: Start, who: str) -> None:
    running = start()
    running.wait_for_output()
    tree = running.tree()
    engine = running.supervised.report().engine_pid
    assert engine is not None
    guard = running.supervised.pid
    supervisor = next(pid for pid in tree if processes.parent_of(pid) == guard)
    victims = {
        "guard": guard,
        "supervisor": supervisor,
        "init": processes.parent_of(engine),
        "engine": engine,
    }
    os.kill(victims[who], signal.SIGKILL)
    assert_all_gone(running, tree)


@pytest.mark.parametrize("who", ["guard", "supervisor", "nobody"])
def test_the_lease_is_not_free_before_the_engine_is_gone(start: Start, who: str) -> None:
    running = start(STUBBORN)
    running.wait_for_output()
    tree = running.tree()
    guard = running.supervised.pid
    supervisor = next(pid for pid in tree if processes.parent_of(pid) == guard)
    if who == "nobody":
        running.supervised.request_stop()
    else:
        os.kill({"guard": guard, "supervisor": supervisor}[who], signal.SIGKILL)
    assert wait_until(lambda: not running.is_leased(), SOON_S)
    keepers = (guard, supervisor)
    assert running.is_gone({pid: at for pid, at in tree.items() if pid not in keepers})


def test_what_outlives_both_its_keepers_is_ended_by_the_kernel_or_the_reaper(start: Start) -> None:
    running = start()
    running.wait_for_output()
    tree = running.tree()
    assert wait_until(
        lambda: set(tree.items()) <= set((running.record() or Record()).processes), SOON_S
    )
    guard = running.supervised.pid
    supervisor = next(pid for pid in tree if processes.parent_of(pid) == guard)
    processes.kill_all([guard, supervisor])
    assert wait_until(lambda: not running.is_leased(), SOON_S)
    if running.supervised.order.isolation == "auto":
        assert wait_until(lambda: running.is_gone(tree), SOON_S)
    reap(running.leases)
    assert running.is_gone(tree)
    assert list(running.leases.iterdir()) == []
    assert not running.scratch.path.exists()


def test_the_death_of_who_started_it_ends_the_tree(tmp_path: Path, isolation: Isolation) -> None:
    """Even while a forked child of the dead one still holds the pipe open."""
    code = (
        "import os, sys, time\n"
        "sys.path[:0] = sys.argv[3:]\n"
        "from test_supervisor import Running, TREE\n"
        "from pathlib import Path\n"
        "running = Running(Path(sys.argv[1]), TREE, sys.argv[2])\n"
        "running.wait_for_output()\n"
        "if os.fork() == 0: time.sleep(60)\n"
        "time.sleep(0.1)\n"
        "print(list(running.tree().items()), flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), isolation, str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as flow:
        assert flow.stdout is not None
        tree = dict(json.loads(flow.stdout.readline().replace("(", "[").replace(")", "]")))
        assert len(tree) >= 5
        flow.kill()
        assert wait_until(
            lambda: not any(processes.is_same(pid, start) for pid, start in tree.items()), SOON_S
        )
        os.killpg(flow.pid, signal.SIGKILL)


def test_the_engine_inherits_neither_lock_nor_pipe(start: Start) -> None:
    running = start("ls -l /proc/self/fd | sed 's/.*-> //'; echo up; sleep 1000")
    running.wait_for_output()
    said = tail_of(running.supervised.order.log_path)
    assert "core-0" not in said
    assert running.scratch.path.name not in said
    assert said.count("pipe:") <= 3


def test_the_record_names_every_process_with_its_start(start: Start) -> None:
    running = start()
    running.wait_for_output()
    tree = running.tree()
    assert wait_until(
        lambda: set(tree.items()) <= set((running.record() or Record()).processes), SOON_S
    )


def test_everything_of_a_launch_is_proven_to_be_of_it(start: Start) -> None:
    running = start()
    running.wait_for_output()

    def proven() -> dict[int, int]:
        (state,) = states(running.leases)
        return state.standing.proven

    assert wait_until(lambda: set(proven()) >= set(running.tree()), SOON_S)
    (state,) = states(running.leases)
    assert state.standing.unproven == {}


def test_secrets_never_reach_the_log_however_they_are_cut(start: Start) -> None:
    running = start("printf 'a canary-'; sleep 0.2; printf '1234 b\\n'; echo up; sleep 1000")
    running.wait_for_output()
    assert tail_of(running.supervised.order.log_path).splitlines()[0] == "a *** b"


def test_a_long_log_is_rotated_and_followed(start: Start) -> None:
    running = start("seq 100000; echo up; sleep 1000", log_max_bytes=200_000)
    running.wait_for_output()
    log = running.supervised.order.log_path
    assert log.stat().st_size <= 200_000
    assert log.with_name("server.log.1").stat().st_size <= 200_000
    assert LogFollower(log).lines()[-1] == "up"


def test_a_full_disk_costs_the_log_and_not_the_engine(start: Start, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "server.log").symlink_to("/dev/full")
    running = start("for i in $(seq 99); do echo line $i; done; touch up; sleep 1000")
    assert wait_until((tmp_path / "run" / "up").exists, SOON_S)
    assert running.supervised.running()
    running.supervised.request_stop()
    assert running.supervised.wait(SOON_S)
    assert running.supervised.report().log_bytes_lost > 0


def test_a_program_that_is_not_there_is_an_exit_with_a_reason(start: Start) -> None:
    running = start(argv=("no-such-engine",))
    assert wait_until(lambda: not running.supervised.running(), SOON_S)
    assert running.supervised.wait(SOON_S)
    assert running.supervised.report().exit_code == 127
    assert "no-such-engine: No such file" in running.supervised.log_tail()


def test_the_look_for_a_namespace_is_told_where_programs_are_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in, told = tmp_path / "unshare", tmp_path / "told"
    stand_in.write_text(f"#!/bin/sh\nenv > {told}\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-1234")
    assert isolation_prefix("auto")
    assert "PATH=" in told.read_text()
    assert "canary" not in told.read_text()

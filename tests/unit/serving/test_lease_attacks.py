"""A user with an account on the machine and bad intentions, against root's runs beside them.

Each attack is made by a process of the user `nobody`. Whatever it is: nothing of another user is
ended, run, emptied, created or removed, leases go on excluding each other, and nothing hangs or
ends in a traceback.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import other_user
import pytest
from dead_runs import LAUNCH, leave_behind, marked, record, start_of
from other_user import act, acting

from nightbench.cli.main import main
from nightbench.errors import LeaseError
from nightbench.progress import ignore
from nightbench.serving import processes
from nightbench.serving.hardware import lease_files, leases, reaper
from nightbench.serving.hardware.gpus import Gpu, GpuUse, Inventory
from nightbench.serving.hardware.leases import Lease, LeaseRequest
from nightbench.serving.supervise.supervised_files import write_lease
from nightbench.serving.supervise.supervisor_client import wait_until

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user"),
    pytest.mark.timeout(120),
]

KEPT = "do not touch"
AT_ONCE_S = 8.0  # of processor time: what else the machine does is not counted


@dataclass
class Node:
    """A machine that root and others share: the folder of leases, and what is root's."""

    root: Path
    engine: subprocess.Popen[bytes]  # of a living launch of root's, as its mark says
    capsys: pytest.CaptureFixture[str]
    attack: ExitStack = field(default_factory=ExitStack)

    @property
    def leases(self) -> Path:
        """Root's, writable by all, and sticky."""
        return self.root / "leases"

    @property
    def precious(self) -> Path:
        """A file of root's that nobody else may read or write."""
        return self.root / "precious"

    @property
    def tool(self) -> Path:
        """A program that tells that it was run."""
        return self.root / "tool"

    def theirs(self, name: str) -> str:
        """A name in the folder, for an attack."""
        return str(self.leases / name)

    def forged(self, *pids: int, **fields: object) -> dict[str, Any]:
        """A record as root's supervisor would write it."""
        return record(*pids, **fields)

    def acquire(self, *cores: int, within_s: float = 0.0) -> Lease:
        request = LeaseRequest(
            subject="root's", num_gpus=0, cores=cores or (0, 1), within_s=within_s
        )
        return leases.acquire(
            request,
            self.leases,
            Inventory(),
            read_use=lambda _: {},
            on_progress=ignore,
            sleep=lambda _: time.sleep(0.02),
        )

    def command(self, name: str) -> str:
        """What `nightbench NAME` says."""
        self.capsys.readouterr()
        main([name])
        said = self.capsys.readouterr()
        return said.out + said.err

    def assert_unharmed(self) -> None:
        """Nothing of root's was touched, by reaping, looking, or leasing."""
        began = time.process_time()
        said = self.command("reap") + self.command("doctor")
        assert "Traceback" not in said
        assert "\x1b" not in said
        assert "\u202e" not in said
        assert time.process_time() - began < AT_ONCE_S
        assert self.engine.poll() is None, "a process of root's was ended"
        assert not self.tool.with_name("ran").exists(), "a program was run"
        assert self.precious.read_text() == KEPT
        assert self.precious.stat().st_mode & 0o7777 == 0o600
        assert not (self.root / "made").exists(), "a file was made for somebody"

    def assert_leased_by_one(self) -> None:
        """Root has it now, and nobody else at the same time."""
        began = time.process_time()
        lease = self.acquire(within_s=1.0)
        with pytest.raises(LeaseError, match="leased by"):
            self.acquire()
        lease.hand_over()
        self.acquire().hand_over()
        assert time.process_time() - began < AT_ONCE_S


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Node]:
    """Not in tmp_path, which only root may enter."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as attack:
        root = Path(name)
        root.chmod(0o755)
        engine = marked(["sleep", "1000"])
        node = Node(root, engine, capsys, attack)
        node.leases.mkdir()
        node.leases.chmod(0o1777)
        node.precious.write_text(KEPT)
        node.precious.chmod(0o600)
        node.tool.write_text(f"#!/bin/sh\ntouch {root}/ran\n")
        node.tool.chmod(0o755)
        monkeypatch.setenv("NIGHTBENCH_LEASES", str(node.leases))
        monkeypatch.setenv("NIGHTBENCH_HOME", str(root / "home"))
        yield node
        attack.close()
        engine.kill()
        engine.wait()


# ---------------------------------------------------------------- what lies in the folder


def a_record(**fields: Any) -> Callable[[Node], object]:
    """A lease file that nobody holds."""

    def attack(node: Node) -> object:
        written = {key: of(node) if callable(of) else of for key, of in fields.items()}
        return act(
            "lease", where=str(node.leases), resource="core-0", record=node.forged() | written
        )

    return attack


def its_engine(node: Node) -> list[list[int]]:
    return [[node.engine.pid, start_of(node.engine.pid)]]


def every_process(_: Node) -> list[list[int]]:
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [[pid, stat[1]] for pid in pids if pid > 1 and (stat := processes.stat_of(pid))]


def this_process(_: Node) -> list[list[int]]:
    return [[os.getpid(), start_of(os.getpid())], [os.getppid(), start_of(os.getppid())]]


def a_body(body: str, **how: Any) -> Callable[[Node], object]:
    """A lease file with these bytes in it."""
    return lambda node: act(
        "raw_lease", where=str(node.leases), resource="core-0", body=body, **how
    )


def at(name: str, action: str, **arguments: Any) -> Callable[[Node], object]:
    """Something under a name in the folder; `{root}` stands for where root's things are."""

    def attack(node: Node) -> object:
        given = {
            key: value.replace("{root}", str(node.root)) if isinstance(value, str) else value
            for key, value in arguments.items()
        }
        return act(action, path=node.theirs(name), **given)

    return attack


def going_on(action: str, name: str = "", **arguments: Any) -> Callable[[Node], object]:
    """Something that a process of theirs keeps up meanwhile."""

    def attack(node: Node) -> object:
        path = {"path": node.theirs(name) if name else str(node.leases)}
        return node.attack.enter_context(acting(action, **path, **arguments))

    return attack


def many(count: int, **fields: Any) -> Callable[[Node], object]:
    return lambda node: act(
        "flood",
        where=str(node.leases),
        resource="core-0",
        count=count,
        record=node.forged(processes=every_process(node), **fields),
    )


LEASE, OLD = f"core-0.{'0' * 16}.lease", "core-0.lock"
DEEP = "[" * 30000
SAID_IN = {"containers": lambda node: [[str(node.tool), "x"], ["/bin/sh", "-c"]]}

LYING = {
    # records
    "a process of root's, with its right start and its launch": a_record(processes=its_engine),
    "every process of the machine": a_record(processes=every_process),
    "the very process that reaps": a_record(processes=this_process),
    "init": a_record(processes=[[1, 0]]),
    "no pids at all": a_record(processes=[[0, 0], [-1, 0], [-1000, 5]]),
    "numbers of 2**66": a_record(processes=[[2**66, 2**66]], port=2**66),
    "a limit of 2**66 bytes": a_record(memory_limit_bytes=2**66, dirty="d"),
    "floats, strings, lists": a_record(processes="1 2", port=[1], subject={"a": 1}, dirty=1.5),
    "a program as its container's client": a_record(**SAID_IN),
    "a container whose launch is options": a_record(container=True, launch_id="--all -f $(ran)"),
    "a container of root's launch": a_record(container=True),
    "paths to remove": a_record(run_dir="/", scratch=["/etc"], path=lambda n: str(n.precious)),
    "escapes in every text": a_record(
        subject="\x1b[2J\x1b]0;x\x07\u202e", dirty="\x1b[31m", boot_id="\x1b[31m", user="\x1b["
    ),
    "a subject of many lines": a_record(subject="a\nnightbench: all is well\n" * 20),
    "a subject of 60 KB": a_record(subject="x" * 60000),
    # bytes
    "nothing": a_body(""),
    "half a record": a_body('{"launch_id": "0123'),
    "JSON of 30,000 levels": a_body(DEEP),
    "JSON of 30,000 levels in a field": a_body('{"processes": ' + DEEP),
    "an integer of 60,000 digits": a_body('{"port": ' + "9" * 60000 + "}"),
    "NaN and 1e999": a_body('{"processes": [[NaN, 1e999]], "port": Infinity}'),
    "no UTF-8": a_body('{"subject": "\xff\xfe\xc3"}'),
    "half a surrogate pair": a_body('{"subject": "\\ud800", "dirty": "\\udfff"}'),
    "a gigabyte": a_body("{}", size=1 << 30),
    "an unreadable file": a_body("{}", mode=0),
    # what is no file
    "a link to a file of root's": at(LEASE, "link", target="{root}/precious"),
    "a link to what is not there": at(LEASE, "link", target="{root}/made"),
    "a link to itself": at(LEASE, "link", target=LEASE),
    "a link to a device": at(LEASE, "link", target="/dev/zero"),
    "a link to a process's memory": at(LEASE, "link", target="/proc/self/mem"),
    "a link as a lock of old": at(OLD, "link", target="{root}/precious"),
    "a link as a lock of old to what is not there": at(OLD, "link", target="{root}/made"),
    "a pipe": at(LEASE, "pipe"),
    "a pipe as a lock of old": at(OLD, "pipe"),
    "a socket that listens": going_on("listener", LEASE),
    "a folder": at(LEASE, "folder"),
    "a folder as a lock of old": at(OLD, "folder", mode=0),
    "a device": at(LEASE, "device"),
    "a file whose opening waits for them": going_on("make_others_wait", LEASE),
    "a file without our first line": at(LEASE, "write", text="{}"),
    "names that are no text": lambda node: act("odd_names", where=str(node.leases)),
    "a record as a lock of old, as anybody could write it": lambda node: act(
        "write",
        path=node.theirs(OLD),
        text=json.dumps(node.forged(node.engine.pid, containers=[[str(node.tool), "n"]])),
    ),
    "a hard link to a file of root's": at(LEASE, "hard_link", target="{root}/precious"),
    # numbers, and things kept up
    "5,000 records that name every process": many(5000),
    "the folder locked for ever": going_on("lock_folder"),
    "a program of theirs with the mark of root's launch": lambda node: node.attack.enter_context(
        acting("run_marked", launch_id=LAUNCH)
    ),
}


@pytest.mark.parametrize("attack", LYING.values(), ids=LYING.keys())
def test_what_another_user_leaves_in_the_folder_harms_nobody_and_is_in_nobodys_way(
    node: Node, attack: Callable[[Node], object]
) -> None:
    attack(node)
    node.assert_unharmed()
    node.assert_leased_by_one()


def test_what_is_no_lease_is_named_with_its_owner_and_left_there(node: Node) -> None:
    act("pipe", path=node.theirs(LEASE))
    act("odd_names", where=str(node.leases))
    before = sorted(node.leases.iterdir())
    said = node.command("reap")
    assert f"{LEASE} (a pipe of nobody)" in said
    assert sorted(node.leases.iterdir()) == before


def test_a_dead_record_of_another_user_is_not_removed(node: Node) -> None:
    act("lease", where=str(node.leases), resource="core-0", record=node.forged())
    before = sorted(node.leases.iterdir())
    node.assert_unharmed()
    assert sorted(node.leases.iterdir()) == before


# ---------------------------------------------------------------- what somebody holds


def test_what_another_user_holds_is_waited_for_and_said_to_be_theirs_whatever_they_say(
    node: Node,
) -> None:
    said = node.forged(node.engine.pid, subject="glm\x1b[31m", user="root")
    with acting("hold", where=str(node.leases), resource="core-0", record=said):
        with pytest.raises(LeaseError) as refused:
            node.acquire()
        assert "leased by glm" in refused.value.message
        assert "by nobody" in refused.value.message
        assert str(node.engine.pid) not in refused.value.message, "that is not their process"
        assert "\x1b" not in refused.value.message
        assert "by nobody" in node.command("doctor")
        node.assert_unharmed()
    node.assert_leased_by_one()


def test_who_stands_in_line_for_ever_is_named(node: Node) -> None:
    with (
        acting("hold", where=str(node.leases), resource="line", record={"subject": "me"}),
        pytest.raises(LeaseError, match="ahead in the queue: me by nobody"),
    ):
        node.acquire()
    node.assert_leased_by_one()


def test_900_leases_that_are_held_are_seen_at_once(node: Node) -> None:
    with acting("flood_and_hold", where=str(node.leases), resource="core-0", count=900):
        began = time.process_time()
        with pytest.raises(LeaseError, match="by nobody"):
            node.acquire()
        node.assert_unharmed()
        assert time.process_time() - began < AT_ONCE_S
    node.assert_leased_by_one()


def test_a_lock_of_an_earlier_release_is_waited_for_and_what_it_says_is_not_read(
    node: Node,
) -> None:
    text = json.dumps(node.forged(node.engine.pid, subject="\x1b[31m"))
    with acting("lock_file", path=node.theirs(OLD), text=text):
        with pytest.raises(LeaseError, match=r"earlier release \(core-0.lock, a file of nobody\)"):
            node.acquire()
        node.assert_unharmed()
    node.assert_leased_by_one()


def test_a_lease_of_roots_cannot_be_taken_away_or_rewritten(node: Node) -> None:
    lease = node.acquire(0)
    path = lease.claims[0].path
    before = path.read_bytes()
    refused = act("disturb", path=str(path))
    assert set(refused) == {
        "unlink",
        "rename",
        "replace",
        "write",
        "truncate",
        "chmod",
        "chown",
    } | {
        "write lock",
        "read lock",
    }
    assert "done" not in refused.values(), refused
    assert path.read_bytes() == before
    with pytest.raises(LeaseError):
        node.acquire(0)
    lease.hand_over()


def test_a_leftover_of_roots_that_another_user_has_locked_is_still_roots_to_reap(
    node: Node,
) -> None:
    path = leave_behind(node.leases, "core-0", record(subject="dead"))
    with acting("lock_for_reading", path=str(path)):
        assert [state.held for state in reaper.states(node.leases)] == [False]
        node.acquire().hand_over()
        assert not path.exists()


@pytest.mark.parametrize("name", ["core-1", "core-0"])
def test_a_hard_link_to_a_lease_of_roots_is_none(node: Node, name: str) -> None:
    """Where the kernel lets anybody link any file; here it is made for them."""
    lease = node.acquire(2)
    os.link(lease.claims[0].path, node.leases / f"{name}.{'a' * 16}.lease")
    node.acquire(0, 1).hand_over()
    with pytest.raises(LeaseError):
        node.acquire(2)
    lease.hand_over()


def test_a_file_of_roots_with_their_text_in_it_ends_no_living_launch(node: Node) -> None:
    """As a mail or a log could be, hard-linked into the folder under the name it begins with."""
    lease = node.acquire(2)
    write_lease(lease.claims[0].path, lease.claims[0].fd, record(node.engine.pid))
    body = json.dumps(node.forged(node.engine.pid, containers=[[str(node.tool), "n"]]))
    (node.leases / LEASE).write_text(f"nightbench lease {LEASE}\n{body}")
    node.assert_unharmed()
    lease.hand_over()


def test_a_full_folder_is_one_message(node: Node) -> None:
    small = node.root / "small"
    small.mkdir()
    options = ["-t", "tmpfs", "-o", "size=64k,nr_inodes=30,mode=1777", "tmpfs", str(small)]
    if subprocess.run(["mount", *options], check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        act("fill", where=str(small))
        request = LeaseRequest(subject="root's", num_gpus=0, cores=(0,))
        with pytest.raises(LeaseError, match=r"cannot create a lease in .*No space left"):
            leases.acquire(request, small, Inventory(), read_use=lambda _: {}, on_progress=ignore)
    finally:
        subprocess.run(["umount", str(small)], check=True)


# ---------------------------------------------------------------- processes


def test_a_process_of_another_user_is_not_ended_by_roots_own_record(node: Node) -> None:
    """The engine's number was given again, or it became another user: it is not root's."""
    with acting("run_marked", launch_id=LAUNCH) as theirs:
        leave_behind(node.leases, "core-0", record(theirs.pid))
        node.assert_unharmed()
        node.assert_leased_by_one()
        assert theirs.poll() is None


def test_a_process_that_is_only_half_roots_is_not_ended(node: Node) -> None:
    """As of a set-uid program that another user runs."""
    code = (
        "import os, time; os.setresuid(65534, 0, 0); print('ready', flush=True); time.sleep(1000)"
    )
    mark = {processes.LAUNCH_VARIABLE: LAUNCH, "PATH": os.environ["PATH"]}
    argv = ["python3", "-c", code]
    with subprocess.Popen(argv, env=mark, stdout=subprocess.PIPE, text=True) as half:
        assert half.stdout is not None
        assert half.stdout.readline() == "ready\n"
        leave_behind(node.leases, "core-0", record(half.pid))
        node.assert_unharmed()
        assert half.poll() is None
        half.kill()


def test_roots_own_leftover_is_ended_while_all_that_goes_on(node: Node) -> None:
    """The protection of the others must not protect it."""
    dead = marked(["sleep", "1000"], "d" * 16)
    leave_behind(node.leases, "core-0", record(dead.pid, launch_id="d" * 16))
    act(
        "flood",
        where=str(node.leases),
        resource="core-0",
        count=300,
        record=node.forged(node.engine.pid),
    )
    node.assert_unharmed()
    assert dead.wait(10) == -9


def test_what_another_user_left_alive_is_in_the_way_and_theirs_to_end(node: Node) -> None:
    with acting("run_marked", launch_id=LAUNCH) as engine:
        said = node.forged(engine.pid, subject="theirs")
        act("lease", where=str(node.leases), resource="core-0", record=said)
        with pytest.raises(LeaseError, match="`nightbench reap` as nobody ends it"):
            node.acquire()
        assert f"still alive: {engine.pid}, of nobody" in node.command("reap")
        node.assert_unharmed()
        assert engine.poll() is None
    node.assert_leased_by_one()


# ---------------------------------------------------------------- GPUs


GPU = Gpu(index=0, uuid="GPU-0", name="H100", memory_total_bytes=80 << 30)


def lease_gpu(node: Node, used_bytes: int) -> Lease:
    return leases.acquire(
        LeaseRequest(subject="root's", num_gpus=1, cores=(), wait=False),
        node.leases,
        Inventory(gpus=(GPU,)),
        read_use=lambda uuids: {uuid: GpuUse(used_bytes, ()) for uuid in uuids},
        on_progress=ignore,
    )


@pytest.mark.parametrize("limit", [0, 1 << 20, 1 << 62])
def test_a_mark_of_another_user_neither_takes_a_gpu_away_nor_gives_one(
    node: Node, limit: int
) -> None:
    said = node.forged(dirty="it is broken", memory_limit_bytes=limit)
    act("lease", where=str(node.leases), resource="gpu-GPU-0", record=said)
    lease_gpu(node, used_bytes=500 << 20).hand_over()
    with pytest.raises(LeaseError, match="GPU-0 is used by"):
        lease_gpu(node, used_bytes=2 << 30)
    assert not any(state.dirty for state in reaper.states(node.leases))
    node.assert_unharmed()


def test_a_mark_of_anothers_does_not_undo_roots(node: Node) -> None:
    mark = record(dirty="GPU memory is not back", memory_limit_bytes=600 << 20)
    leave_behind(node.leases, "gpu-GPU-0", mark)
    said = node.forged(dirty="", memory_limit_bytes=1 << 62)
    act("lease", where=str(node.leases), resource="gpu-GPU-0", record=said)
    with pytest.raises(LeaseError, match="was left dirty"):
        lease_gpu(node, used_bytes=700 << 20)


# ---------------------------------------------------------------- races


def race(node: Node, users: list[str], seconds: float) -> list[dict[str, int]]:
    """Each user leases the same cores as fast as it can; fails where two have them at once."""
    counters = node.root / "counters"
    counters.mkdir()
    counters.chmod(0o777)
    arguments = {
        "where": str(node.leases),
        "resources": ["core-0", "core-1"],
        "counter": str(counters / "held"),
        "seconds": seconds,
    }
    words = json.dumps(arguments)
    racing = [
        subprocess.Popen(
            [*other_user.argv_of(user, "lease_in_turn"), words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for user in users
    ]
    results = []
    for process in racing:
        out, err = process.communicate(timeout=seconds + 60)
        assert process.returncode == 0, err
        results.append(json.loads(out))
    return results


def test_honest_users_never_have_the_same_cores_and_all_get_their_turn(node: Node) -> None:
    results = race(node, ["root", "daemon", "bin"], 3.0)
    assert all(result["had"] > 3 for result in results), results


def test_nor_while_another_one_does_everything_at_once(node: Node) -> None:
    forged = node.forged(node.engine.pid, dirty="d", memory_limit_bytes=0)
    resources = ["core-0", "core-1", "line"]
    with acting("harass", where=str(node.leases), resources=resources, forged=forged) as harasser:
        results = race(node, ["root", "daemon"], 4.0)
        assert harasser.poll() is None
        node.assert_unharmed()
    assert any(result["had"] for result in results), results
    node.assert_leased_by_one()


def test_leases_appear_locked_however_closely_somebody_watches(node: Node) -> None:
    """Between the making of a file and its lock nobody else can open it."""
    with acting("snatch", where=str(node.leases)) as snatcher:
        for _ in range(300):
            lease_files.announce(node.leases, "core-0", {}).withdraw()
        assert snatcher.poll() is None
        snatcher.terminate()
        assert snatcher.stdout is not None
        assert wait_until(lambda: snatcher.poll() is not None, 10)
        seen = json.loads(snatcher.stdout.readline())
    assert seen["snatched"] == 0
    assert seen["opened"] + seen["refused"] > 0, "it was too slow to see any"

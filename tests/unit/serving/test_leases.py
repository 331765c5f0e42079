"""Hardware is had by one at a time, in line, and dead holders hold nothing."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from dead_runs import leave_behind, marked, record, start_of

from nightbench.errors import LeaseError
from nightbench.home import owned_files
from nightbench.progress import Progress, ignore
from nightbench.serving import processes
from nightbench.serving.hardware import lease_files, leases, reaper
from nightbench.serving.hardware.gpus import Gpu, GpuUse, Inventory
from nightbench.serving.hardware.leases import Lease, LeaseRequest
from nightbench.serving.supervise.supervised_files import write_lease
from nightbench.serving.supervise.supervisor_client import wait_until

EMPTY = GpuUse(0, ())


def gpu(index: int) -> Gpu:
    return Gpu(index=index, uuid=f"GPU-{index}", name="H100", memory_total_bytes=80 << 30)


FOUR = Inventory(gpus=tuple(gpu(i) for i in range(4)))


def nobody(uuids: Sequence[str]) -> Mapping[str, GpuUse]:
    return dict.fromkeys(uuids, EMPTY)


class Waited(Exception):
    """Raised by the sleep of a test that expects no waiting."""


def no_sleep(_: float) -> None:
    raise Waited


def acquire(
    where: Path,
    *,
    num_gpus: int = 0,
    inventory: Inventory = Inventory(),  # noqa: B008
    read_use: leases.ReadUse = nobody,
    wait: bool = True,
    cores: tuple[int, ...] = (0, 1),
) -> Lease:
    request = LeaseRequest(subject="me", num_gpus=num_gpus, cores=cores, wait=wait)
    return leases.acquire(
        request, where, inventory, read_use=read_use, on_progress=ignore, sleep=no_sleep
    )


def test_the_same_cores_are_had_once(tmp_path: Path) -> None:
    lease = acquire(tmp_path)
    with pytest.raises(Waited):
        acquire(tmp_path)
    lease.hand_over()
    acquire(tmp_path).hand_over()


def test_other_cores_are_free(tmp_path: Path) -> None:
    first = acquire(tmp_path, cores=(0, 1))
    second = acquire(tmp_path, cores=(2, 3))
    for lease in (first, second):
        lease.hand_over()


def test_overlapping_cores_are_not_half_taken(tmp_path: Path) -> None:
    held = acquire(tmp_path, cores=(1,))
    with pytest.raises(Waited):
        acquire(tmp_path, cores=(0, 1))
    acquire(tmp_path, cores=(0,)).hand_over()
    held.hand_over()


def test_who_does_not_want_to_wait_is_told_who_holds_it(tmp_path: Path) -> None:
    held = acquire(tmp_path)
    for claim in held.claims:
        write_lease(claim.path, claim.fd, record(os.getpid(), subject="nightly-glm"))
    me = owned_files.owner_name(os.geteuid())
    with pytest.raises(LeaseError, match=f"leased by nightly-glm by {me}, pid {os.getpid()}"):
        acquire(tmp_path, wait=False)
    held.hand_over()


def test_waiting_says_for_whom_once_and_ends_when_it_is_free(tmp_path: Path) -> None:
    held = acquire(tmp_path)
    said: list[Progress] = []
    naps = iter(range(100))

    def sleep(_: float) -> None:
        if next(naps) == 3:
            held.hand_over()

    leases.acquire(
        LeaseRequest(subject="me", num_gpus=0, cores=(0, 1)),
        tmp_path,
        Inventory(),
        read_use=nobody,
        on_progress=said.append,
        sleep=sleep,
    ).hand_over()
    assert len(said) == 1
    assert said[0].phase == "lease"


def test_the_first_in_line_is_not_overtaken(tmp_path: Path) -> None:
    """While one waits for all four GPUs, a request for the one that is free stands behind it."""
    held = acquire(tmp_path, num_gpus=1, inventory=FOUR)

    def overtake(_: float) -> None:
        with pytest.raises(LeaseError, match="ahead in the queue"):
            acquire(tmp_path, num_gpus=1, inventory=FOUR, wait=False)
        held.hand_over()

    leases.acquire(
        LeaseRequest(subject="big", num_gpus=4, cores=()),
        tmp_path,
        FOUR,
        read_use=nobody,
        on_progress=ignore,
        sleep=overtake,
    ).hand_over()


def test_more_gpus_than_there_are_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(LeaseError, match="needs 8 GPUs, this machine has 4"):
        acquire(tmp_path, num_gpus=8, inventory=FOUR)


def test_without_any_gpu_the_cores_are_leased_instead(tmp_path: Path) -> None:
    lease = acquire(tmp_path, num_gpus=2)
    assert lease.cores == (0, 1)
    assert lease.gpus == ()
    lease.hand_over()


def test_gpus_that_are_leased_or_used_by_others_are_not_taken(tmp_path: Path) -> None:
    held = acquire(tmp_path, num_gpus=1, inventory=FOUR)
    used = {"GPU-1": GpuUse(20 << 30, (4711,))}

    def read_use(uuids: Sequence[str]) -> Mapping[str, GpuUse]:
        return {uuid: used.get(uuid, EMPTY) for uuid in uuids}

    pair = acquire(tmp_path, num_gpus=2, inventory=FOUR, read_use=read_use)
    assert [g.index for g in held.gpus] == [0]
    assert [g.index for g in pair.gpus] == [2, 3]
    with pytest.raises(LeaseError, match=r"GPU-1 is used by pid 4711 \(20.0 GiB\)"):
        acquire(tmp_path, num_gpus=1, inventory=FOUR, read_use=read_use, wait=False)
    for lease in (held, pair):
        lease.hand_over()


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process of a launch, with a child of its own."""
    code = "import subprocess; subprocess.run(['sleep', '1000'])"
    process = marked([sys.executable, "-c", code])
    assert wait_until(lambda: bool(processes.descendants(process.pid)), 10)
    yield process
    processes.kill_all([*processes.descendants(process.pid), process.pid])
    process.wait(10)


def test_a_leftover_is_ended_with_what_descends_from_it(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    child = processes.descendants(sleeper.pid)[0]
    child_start = start_of(child)
    path = leave_behind(tmp_path, "core-0", record(sleeper.pid))
    reaped = reaper.reap(tmp_path)
    assert [state.living for state in reaped] == [tuple(sorted((sleeper.pid, child)))]
    assert sleeper.wait(10) == -9
    assert wait_until(lambda: not processes.is_same(child, child_start), 10)
    assert not path.exists()


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param({"start": 1}, id="another start time: the pid was given again"),
        pytest.param({"boot_id": "another"}, id="another boot of the machine"),
    ],
)
def test_what_is_not_proven_to_be_ours_is_left_alone(
    tmp_path: Path, sleeper: subprocess.Popen[bytes], lie: dict[str, object]
) -> None:
    start = lie.pop("start", start_of(sleeper.pid))
    path = leave_behind(tmp_path, "core-0", record(processes=[[sleeper.pid, start]], **lie))
    assert [state.living for state in reaper.reap(tmp_path)] == [()]
    assert sleeper.poll() is None
    assert not path.exists()


def test_what_lacks_the_mark_of_the_launch_is_neither_ended_nor_is_its_hardware_had(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    """It may be an engine that cleared its environment: a person is to look at it."""
    leave_behind(tmp_path, "core-0", record(sleeper.pid, launch_id="f" * 16))
    reaper.reap(tmp_path)
    with pytest.raises(LeaseError, match=f"{sleeper.pid} without its launch mark"):
        acquire(tmp_path, wait=False)
    assert sleeper.poll() is None


def test_a_launch_that_holds_a_lease_is_no_leftover_whatever_a_file_says(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    held = acquire(tmp_path, cores=(1,))
    write_lease(held.claims[0].path, held.claims[0].fd, record(sleeper.pid))
    leave_behind(tmp_path, "core-0", record(sleeper.pid))
    reaper.reap(tmp_path)
    assert sleeper.poll() is None
    held.hand_over()


def test_what_a_living_run_holds_is_not_reaped(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    held = acquire(tmp_path)
    write_lease(held.claims[0].path, held.claims[0].fd, record(sleeper.pid))
    assert reaper.reap(tmp_path) == []
    assert sleeper.poll() is None
    held.hand_over()


def test_a_launch_that_resists_is_waited_for_once_however_many_cores_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def resist(state: reaper.LeaseState) -> bool:
        asked.append(state.resource)
        return False

    monkeypatch.setattr(reaper, "clear", resist)
    for core in range(3):
        leave_behind(tmp_path, f"core-{core}", record())
    with pytest.raises(LeaseError, match="left behind"):
        acquire(tmp_path, wait=False, cores=(0, 1, 2))
    assert len(asked) == 1
    reaper.reap(tmp_path)
    assert len(asked) == 2


def test_a_name_that_others_would_not_see_is_never_leased(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="valid name of a lease"):
        lease_files.announce(tmp_path, "gpu-MIG_0", {})


def test_a_lease_ends_the_leftover_it_finds(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    leave_behind(tmp_path, "core-0", record(sleeper.pid))
    acquire(tmp_path).hand_over()
    assert sleeper.wait(10) == -9


def test_a_record_cut_short_by_a_crash_is_a_leftover_without_processes(tmp_path: Path) -> None:
    path = leave_behind(tmp_path, "core-0", record())
    path.write_bytes(path.read_bytes()[:-20])
    assert [state.living for state in reaper.states(tmp_path)] == [()]
    acquire(tmp_path).hand_over()


def test_a_run_that_is_over_leaves_no_file(tmp_path: Path) -> None:
    for claim in acquire(tmp_path).claims:
        claim.withdraw()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_an_earlier_release_holds_counts_and_what_it_says_is_not_read(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    path = tmp_path / "core-0.lock"
    path.write_text(json.dumps(record(sleeper.pid)))
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(LeaseError, match=r"an earlier release \(core-0.lock"):
            acquire(tmp_path, wait=False)
    reaper.reap(tmp_path)
    acquire(tmp_path).hand_over()
    assert sleeper.poll() is None
    assert path.exists(), "it is left alone"

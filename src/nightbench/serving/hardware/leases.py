"""Leases: hardware is had by one at a time, in a folder that all users of a node share.

A lease is a lease file per GPU (by UUID) or per core (see lease_files). It is taken here, handed to
the supervisor, and gone when the engine is. The file carries the supervisor's record of its
processes; one that nobody holds is a leftover, which is reaped before its owner's next run has the
hardware again.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nightbench.errors import LeaseError
from nightbench.progress import OnProgress, Progress
from nightbench.serving.file_locks import POLL_S, Sleep, try_lock
from nightbench.serving.hardware import lease_files, lease_folder, reaper
from nightbench.serving.hardware.gpus import Gpu, GpuUse, Inventory, ReadUse, choose_nearest
from nightbench.serving.hardware.lease_files import LINE, Claim
from nightbench.serving.hardware.reaper import ResourceCheck

# Contexts, displays and monitors leave some memory used on an idle GPU.
IDLE_GPU_BYTES = 1 << 30
TURN_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Hardware that is ours. The claims hold it: the supervisor gets them, then `hand_over`."""

    gpus: tuple[Gpu, ...]
    cores: tuple[int, ...]
    claims: tuple[Claim, ...]
    waited_s: float

    def hand_over(self) -> None:
        """Close our copies: from now on it is held by who inherited them, or by nobody."""
        for claim in self.claims:
            os.close(claim.fd)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRequest:
    """What a target needs: so many GPUs, or the cores where it asks for none or there are none."""

    subject: str
    num_gpus: int
    cores: tuple[int, ...]
    wait: bool = True
    within_s: float = math.inf


def usable_cores() -> tuple[int, ...]:
    """The cores this process may run on (taskset, cgroup cpusets)."""
    return tuple(sorted(os.sched_getaffinity(0)))


def acquire(
    request: LeaseRequest,
    where: Path,
    inventory: Inventory,
    *,
    read_use: ReadUse,
    on_progress: OnProgress,
    sleep: Sleep = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Lease:
    """Lease what a target needs, waiting in line unless told not to. Raises LeaseError, also where
    the hardware could not be had within `within_s`.

    The first in line holds the lease `line` while it waits, so that a large request is not
    overtaken for ever by small ones.
    """
    _refuse_impossible(request, inventory)
    lease_folder.ready(where)
    hardware, began, told = _Hardware(inventory, read_use), clock(), ""
    line: Claim | str = ""
    try:
        while True:
            if isinstance(line, str):
                line = _stand_in_line(where, request.subject)
            attempt = line if isinstance(line, str) else _attempt(request, where, hardware)
            if not isinstance(attempt, str):
                break
            if not request.wait or clock() - began >= request.within_s:
                raise LeaseError(
                    f"{request.subject}: {attempt}",
                    hint="Wait for it to end; `nightbench doctor` shows who holds what.",
                )
            if attempt != told:
                told = attempt
                on_progress(Progress("lease", request.subject, f"waiting: {attempt}"))
            sleep(POLL_S)
    finally:
        if isinstance(line, Claim):
            line.withdraw()
    return Lease(
        gpus=attempt.gpus,
        cores=attempt.cores,
        claims=attempt.claims,
        waited_s=clock() - began,
    )


@dataclass(frozen=True, slots=True)
class _Hardware:
    """What there is to have, and how to ask what is used of it."""

    inventory: Inventory
    read_use: ReadUse


@dataclass(frozen=True, slots=True)
class _Taken:
    gpus: tuple[Gpu, ...]
    cores: tuple[int, ...]
    claims: tuple[Claim, ...]


def _refuse_impossible(request: LeaseRequest, inventory: Inventory) -> None:
    if request.num_gpus and not inventory.gpus:
        return  # a machine without GPUs: the engine's CPU build runs on its cores
    slices = [gpu for gpu in (*inventory.gpus, *inventory.left_out) if gpu.is_slice]
    usable = [gpu for gpu in inventory.gpus if request.num_gpus == 1 or not gpu.is_slice]
    if request.num_gpus > len(usable):
        split = (
            f"; {len(slices)} MIG slices do not count: they cannot be combined" if slices else ""
        )
        raise LeaseError(
            f"{request.subject} needs {request.num_gpus} GPUs, this machine has "
            f"{len(usable)} usable{split}",
            hint="Lower tensor_parallel_size, use a larger node, or widen CUDA_VISIBLE_DEVICES."
            + (" `nvidia-smi -i N -mig 0` switches MIG off." if slices else ""),
        )


def _stand_in_line(where: Path, subject: str) -> Claim | str:
    """The head of the line, or who is before us."""
    before = _first_holder(reaper.look(where, {LINE}))
    if not before:
        with _turn(where):
            taken = take(where, [LINE], subject)
        if not isinstance(taken, str):
            return taken[0]
        before = taken
    return f"another run is ahead in the queue: {before}"


@contextmanager
def _turn(where: Path) -> Iterator[None]:
    """One at a time, where nobody is in the way: else of two that announce at once both withdraw.

    No more than manners: anybody can keep the folder locked, and then it goes without.
    """
    fd = os.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + TURN_S
        while not try_lock(fd) and time.monotonic() < deadline:
            time.sleep(0.01)
        yield
    finally:
        os.close(fd)


def take(where: Path, resources: Sequence[str], subject: str) -> tuple[Claim, ...] | str:
    """Announce, then look: all of the resources, or none and who has one of them.

    Raises LeaseError where no lease file can be made.
    """
    claims: list[Claim] = []
    try:
        for resource in resources:
            claim = lease_files.announce(where, resource, {"subject": subject})
            claims.append(claim)  # at once: it is withdrawn if the next one fails
        ours = {claim.path for claim in claims}
        others = reaper.look(where, set(resources), ours=ours)
        if not (holder := _first_holder(others)):
            return tuple(claims)
    except BaseException as error:
        _withdraw(claims)
        if isinstance(error, OSError):
            raise LeaseError(
                f"{subject}: cannot create a lease in {where}: {error.strerror}",
                hint="Check who fills the folder or its file system.",
            ) from error
        raise
    _withdraw(claims)
    return holder


def _withdraw(claims: Sequence[Claim]) -> None:
    for claim in claims:
        claim.withdraw()


def _first_holder(looks: Mapping[str, ResourceCheck]) -> str:
    return next((look.held_by for look in looks.values() if look.held_by), "")


def _attempt(request: LeaseRequest, where: Path, hardware: _Hardware) -> _Taken | str:
    """Take everything that is asked for, or nothing and say why."""
    if request.num_gpus and hardware.inventory.gpus:
        return _attempt_gpus(request, where, hardware)
    resources = [f"core-{core}" for core in request.cores]
    holder = _first_holder(reaper.look(where, set(resources)))
    taken = holder or take(where, resources, request.subject)
    if isinstance(taken, str):
        return f"cores are leased by {taken}"
    return _Taken((), request.cores, taken)


def _attempt_gpus(request: LeaseRequest, where: Path, hardware: _Hardware) -> _Taken | str:
    """Choose among the GPUs that are free, and take those."""
    inventory = hardware.inventory
    looks = reaper.look(where, {f"gpu-{gpu.uuid}" for gpu in inventory.gpus})
    of = {gpu.uuid: looks.get(f"gpu-{gpu.uuid}", ResourceCheck()) for gpu in inventory.gpus}
    use = hardware.read_use([uuid for uuid, look in of.items() if not look.held_by])
    busy = {uuid: one for uuid, one in use.items() if one.memory_used_bytes > _limit(of[uuid])}
    free = [gpu for gpu in inventory.gpus if gpu.uuid in use and gpu.uuid not in busy]
    chosen = choose_nearest(free, request.num_gpus, inventory.links)
    if chosen:
        taken = take(where, [f"gpu-{gpu.uuid}" for gpu in chosen], request.subject)
        if isinstance(taken, str):
            return f"GPUs are leased by {taken}"
        try:
            for mark in (mark for gpu in chosen for mark in of[gpu.uuid].marks):
                reaper.forget_mark(mark)
        except BaseException:
            _withdraw(taken)
            raise
        return _Taken(chosen, (), taken)
    reasons = [f"{len(free)} of {request.num_gpus} GPUs are free"]
    leased_by = [look.held_by for look in of.values() if look.held_by]
    reasons += [f"leased by {leased_by[-1]}"] if leased_by else []
    for uuid, gpu_use in busy.items():
        left = "was left dirty and " if of[uuid].marks else ""
        reasons.append(f"{uuid} {left}is used by {_users(gpu_use)}")
    return "; ".join(reasons)


def _limit(look: ResourceCheck) -> int:
    """How much memory may be in use on a GPU that is free: a mark makes it less, never more."""
    return min([IDLE_GPU_BYTES, *look.limits_bytes])


def _users(use: GpuUse) -> str:
    who = f"pid {', '.join(map(str, use.pids))}" if use.pids else "a process NVML does not identify"
    return f"{who} ({use.memory_used_bytes / 2**30:.1f} GiB)"

"""Leases: hardware is had by file locks in one folder per node, which every user and checkout sees.

One lock file per GPU (by UUID) or per core. The lock is taken here, handed to the supervisor, and
free again when the engine is gone. The file's content is the supervisor's record of its processes;
content without a lock is a leftover, which is reaped before the hardware is used again.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nightbench.errors import LeaseError
from nightbench.progress import OnProgress, Progress
from nightbench.serving import reaper
from nightbench.serving.file_locks import POLL_S, Sleep, open_shared, try_lock
from nightbench.serving.gpus import Gpu, GpuUse, Inventory, ReadUse, choose_nearest

# Contexts, displays and monitors leave some memory used on an idle GPU.
IDLE_GPU_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Hardware that is ours. `fds` hold the locks: the supervisor gets them, then `hand_over`."""

    gpus: tuple[Gpu, ...]
    cores: tuple[int, ...]
    paths: tuple[Path, ...]
    fds: tuple[int, ...]
    waited_s: float

    def hand_over(self) -> None:
        """Close our copies: from now on the locks are held by who inherited them, or by nobody."""
        for fd in self.fds:
            os.close(fd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a target needs: so many GPUs, or the cores where it asks for none or there are none."""

    subject: str
    num_gpus: int
    cores: tuple[int, ...]
    wait: bool = True
    within_s: float = math.inf


def directory(environ: Mapping[str, str] = os.environ) -> Path:
    """NIGHTBENCH_LEASES, else /var/lock/nightbench, else the user's own where that is not ours."""
    if named := environ.get("NIGHTBENCH_LEASES"):
        path = Path(named)
        path.mkdir(parents=True, exist_ok=True)
        return path
    shared = Path("/var/lock/nightbench")
    try:
        shared.mkdir(mode=0o1777, exist_ok=True)
        if shared.stat().st_uid == os.getuid():
            shared.chmod(0o1777)  # whatever the umask says: every user leases here
        if os.access(shared, os.W_OK | os.X_OK):
            return shared
    except OSError:
        pass
    own = Path(tempfile.gettempdir()) / f"nightbench-leases-{os.getuid()}"
    own.mkdir(mode=0o700, exist_ok=True)
    return own


def usable_cores() -> tuple[int, ...]:
    """The cores this process may run on (taskset, cgroup cpusets)."""
    return tuple(sorted(os.sched_getaffinity(0)))


def acquire(
    request: Request,
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

    The first in line holds `line.lock` while it waits, so that a large request is not overtaken
    for ever by small ones.
    """
    _refuse_impossible(request, inventory)
    began, told = clock(), ""
    line_fd = open_shared(where / "line.lock")
    try:
        while isinstance(attempt := _in_line(line_fd, request, where, inventory, read_use), str):
            if not request.wait or clock() - began >= request.within_s:
                raise LeaseError(
                    f"{request.subject}: {attempt}",
                    hint="Wait for it to end, or see `nightbench doctor` for who holds what.",
                )
            if attempt != told:
                told = attempt
                on_progress(Progress("lease", request.subject, f"waiting: {attempt}"))
            sleep(POLL_S)
    finally:
        os.close(line_fd)
    return Lease(
        gpus=attempt.gpus,
        cores=attempt.cores,
        paths=attempt.paths,
        fds=attempt.fds,
        waited_s=clock() - began,
    )


@dataclass(frozen=True, slots=True)
class _Taken:
    gpus: tuple[Gpu, ...]
    cores: tuple[int, ...]
    paths: tuple[Path, ...]
    fds: tuple[int, ...]


def _refuse_impossible(request: Request, inventory: Inventory) -> None:
    if request.num_gpus and not inventory.gpus:
        return  # a machine without GPUs: the engine's CPU build runs on its cores
    slices = [gpu for gpu in (*inventory.gpus, *inventory.left_out) if gpu.is_slice]
    usable = [gpu for gpu in inventory.gpus if request.num_gpus == 1 or not gpu.is_slice]
    if request.num_gpus > len(usable):
        split = f"; {len(slices)} MIG slices do not count, they cannot be joined" if slices else ""
        raise LeaseError(
            f"{request.subject} needs {request.num_gpus} GPUs, this machine has "
            f"{len(usable)} it may use{split}",
            hint="Lower tensor_parallel_size, use a larger node, or widen CUDA_VISIBLE_DEVICES."
            + (" `nvidia-smi -i N -mig 0` makes a GPU whole again." if slices else ""),
        )


def _in_line(
    line_fd: int, request: Request, where: Path, inventory: Inventory, read_use: ReadUse
) -> _Taken | str:
    if not try_lock(line_fd):
        return "another run is before this one in line"
    return _attempt(request, where, inventory, read_use)


def _attempt(
    request: Request, where: Path, inventory: Inventory, read_use: ReadUse
) -> _Taken | str:
    """Take everything that is asked for, or nothing and say why."""
    if request.num_gpus and inventory.gpus:
        return _attempt_gpus(request, where, inventory, read_use)
    held = _Held(where)
    for core in request.cores:
        if not held.take(f"core-{core}"):
            held.release()
            return f"cores are leased by {reaper.describe(where / f'core-{core}.lock')}"
    return _Taken((), request.cores, tuple(held.paths), tuple(held.fds))


def _attempt_gpus(
    request: Request, where: Path, inventory: Inventory, read_use: ReadUse
) -> _Taken | str:
    """Lock every free GPU, choose among them, let the others go."""
    locked, leased_by = _lock_all(where, inventory)
    chosen: tuple[Gpu, ...] = ()
    try:
        use = read_use(list(locked))
        busy = {
            uuid: use[uuid]
            for uuid, held in locked.items()
            if use[uuid].memory_used_bytes > held.memory_limit_bytes
        }
        free = [gpu for gpu in inventory.gpus if gpu.uuid in locked and gpu.uuid not in busy]
        chosen = choose_nearest(free, request.num_gpus, inventory.links) or ()
    finally:
        for uuid in locked.keys() - {gpu.uuid for gpu in chosen}:
            locked[uuid].release()
    if chosen:
        kept = [locked[gpu.uuid] for gpu in chosen]
        return _Taken(
            chosen,
            (),
            tuple(path for held in kept for path in held.paths),
            tuple(fd for held in kept for fd in held.fds),
        )
    reasons = [f"{len(free)} of {request.num_gpus} GPUs are free"]
    reasons += [f"leased by {leased_by}"] if leased_by else []
    for uuid, gpu_use in busy.items():
        left = "was left dirty, and " if locked[uuid].is_dirty else ""
        reasons.append(f"{uuid} {left}is used by {_users(gpu_use)}")
    return "; ".join(reasons)


def _lock_all(where: Path, inventory: Inventory) -> tuple[dict[str, _Held], str]:
    """Every GPU that nobody has leased, by uuid, and who has leased (one of) the others."""
    locked: dict[str, _Held] = {}
    leased_by = ""
    for gpu in inventory.gpus:
        one = _Held(where)
        if one.take(f"gpu-{gpu.uuid}"):
            locked[gpu.uuid] = one
        else:
            leased_by = reaper.describe(where / f"gpu-{gpu.uuid}.lock")
    return locked, leased_by


def _users(use: GpuUse) -> str:
    who = f"pid {', '.join(map(str, use.pids))}" if use.pids else "a process NVML does not name"
    return f"{who} ({use.memory_used_bytes / 2**30:.1f} GiB)"


class _Held:
    """Locks taken so far."""

    def __init__(self, where: Path) -> None:
        self._where = where
        self.paths: list[Path] = []
        self.fds: list[int] = []
        self.is_dirty = False
        self.memory_limit_bytes = IDLE_GPU_BYTES

    def take(self, name: str) -> bool:
        """Lock one file; a leftover found in it is ended first, and a dirty GPU remembered."""
        path = self._where / f"{name}.lock"
        fd = open_shared(path)
        if not try_lock(fd) or not reaper.clear(fd):
            os.close(fd)
            return False
        limit = reaper.memory_limit_bytes(fd)
        if limit is not None:
            self.is_dirty = True
            self.memory_limit_bytes = min(limit, IDLE_GPU_BYTES)
        self.paths.append(path)
        self.fds.append(fd)
        return True

    def release(self) -> None:
        """Give everything back."""
        for fd in self.fds:
            os.close(fd)
        self.fds.clear()

"""What a lease file says, and how much of it is believed.

A record is its owner's word: the user whose file it is, as the kernel says. It ends processes of
that user only, only when that user reaps, and only those that the kernel proves: the same boot, pid
and start time, the same user, and the mark of the launch in the environment they were started with,
or a parent that has it. It names no program, no argument and no path.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nightbench.serving import processes
from nightbench.serving.hardware.lease_files import LeaseFile
from nightbench.serving.supervise.supervised_files import MAX_PROCESSES

# Of another user's record so many processes are looked at.
_MOST_OF_OTHERS = 200

_Pid = Annotated[int, Field(gt=1, le=1 << 22)]
_Ticks = Annotated[int, Field(ge=0, lt=1 << 63)]
_Bytes = Annotated[int, Field(ge=0, lt=1 << 63)]


MAX_TEXT = 1000


class Record(BaseModel):
    """What a supervisor wrote into the lease files it holds. A later release may say more."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    launch_id: Annotated[str, Field(pattern=r"^([0-9a-f]{8,64})?$")] = ""
    subject: Annotated[str, Field(max_length=MAX_TEXT)] = "an unknown target"
    port: Annotated[int, Field(gt=0, lt=1 << 16)] | None = None
    boot_id: Annotated[str, Field(max_length=100)] = ""
    # pid, start time in clock ticks since boot
    processes: Annotated[tuple[tuple[_Pid, _Ticks], ...], Field(max_length=MAX_PROCESSES)] = ()
    container: bool = False  # the engine runs in one, labelled with the launch
    dirty: Annotated[str, Field(max_length=MAX_TEXT)] = ""  # what was wrong with its end
    memory_limit_bytes: _Bytes | None = None  # a dirty GPU is well again below that


def parse(file: LeaseFile) -> Record | None:
    """The record in a lease file; None where there is none, or none that can be understood: one cut
    short by a crash, or not written by a nightbench."""
    try:
        return Record.model_validate_json(file.body) if file.body else None
    except ValidationError:
        return None


@dataclass(frozen=True, slots=True)
class Standing:
    """The processes of a record that live, pid to start time: proven to be of its launch, or only
    its owner's process of that number and start."""

    proven: dict[int, int] = field(default_factory=dict)
    unproven: dict[int, int] = field(default_factory=dict)

    @property
    def pids(self) -> tuple[int, ...]:
        """All of them."""
        return tuple(sorted(self.proven | self.unproven))


class Census:
    """What the kernel says of processes, asked once of each: thousands of records may name them."""

    def __init__(self) -> None:
        self._start_of = functools.cache(processes.start_of)
        self._belongs_to = functools.cache(processes.belongs_to)

    def has(self, pid: int, start: int, owner: int) -> bool:
        """Whether that process lives, and is that user's."""
        return self._start_of(pid) == start and self._belongs_to(pid, owner)


def standing(record: Record, owner: int, census: Census | None = None) -> Standing:
    """What lives of a record. Of another user's nothing is proven: it is not ours to look into."""
    census = census or Census()
    if record.boot_id != processes.boot_id():
        return Standing()
    is_mine = owner == os.geteuid()
    theirs = {
        pid: start
        for pid, start in record.processes[: MAX_PROCESSES if is_mine else _MOST_OF_OTHERS]
        if census.has(pid, start, owner)
    }
    if not is_mine or not theirs:
        return Standing({}, theirs)
    marked = [pid for pid in theirs if processes.carries(pid, record.launch_id)]
    below = processes.descendants(*marked) if marked else []
    proven = {pid: theirs[pid] for pid in marked} | _starts(below, owner)
    return Standing(proven, {pid: at for pid, at in theirs.items() if pid not in proven})


def _starts(pids: Iterable[int], owner: int) -> dict[int, int]:
    return {
        pid: stat[1]
        for pid in pids
        if processes.belongs_to(pid, owner) and (stat := processes.stat_of(pid))
    }

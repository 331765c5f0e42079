"""Ends what a dead run of this user left behind, and only what is proven to be of it.

It is needed where guard and supervisor were killed together on a kernel without PID namespaces.
Nobody acts on what another user left, root included: that user's next run or `nightbench reap`
does.

A GPU whose memory was not given back is marked dirty by a lease file that nobody holds. It is not
leased again before its memory is back, and what a person or the hourly maintenance reaps is only
the mark. A mark is believed of this user and of root; anybody else's would cost nothing to make.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from pathlib import Path

from nightbench.errors import LeaseError
from nightbench.home import owned_files
from nightbench.serving import images, processes, scratch
from nightbench.serving.file_locks import Sleep
from nightbench.serving.hardware import gpus, lease_files, lease_folder
from nightbench.serving.hardware.gpus import ReadUse
from nightbench.serving.hardware.lease_files import LINE, LeaseFile, Stray
from nightbench.serving.hardware.lease_records import Census, Record, Standing, parse, standing
from nightbench.terminal_text import safe_line

PATIENCE_S = 10.0
SUBJECT_CHARS = 60
# So many files of one other user are read; that one is held is always seen.
READ_PER_OWNER = 200


@dataclass(frozen=True, slots=True)
class LeaseState:
    """A lease file: `held` by a living run of its owner, or not; the record in it; what of it
    lives; whether somebody holds the same hardware now."""

    file: LeaseFile
    record: Record | None
    standing: Standing
    in_use: bool

    @property
    def resource(self) -> str:
        """`core-0`, `gpu-UUID`."""
        return self.file.resource

    @property
    def held(self) -> bool:
        """Whether a process of its owner has it."""
        return self.file.held

    @property
    def living(self) -> tuple[int, ...]:
        """The pids of the record's owner that are still what the record says."""
        return self.standing.pids

    @property
    def owner(self) -> str:
        """Who wrote it, as the kernel says."""
        return owned_files.owner_name(self.file.owner)

    @property
    def subject(self) -> str:
        """What it says it is for, safe to print."""
        return safe_line(self.record.subject, max_chars=SUBJECT_CHARS) if self.record else ""

    @property
    def is_leftover(self) -> bool:
        """Whether it is this user's, and of a run that did not end well."""
        is_waiting = self.is_mark and self.in_use
        return self.file.is_mine and not self.held and not is_waiting

    @property
    def is_mark(self) -> bool:
        """Whether it says of a GPU that its memory was not given back. A boot gives it back."""
        return (
            not self.held
            and self.resource.startswith("gpu-")
            and owned_files.is_trusted(self.file.owner)
            and self.record is not None
            and self.record.memory_limit_bytes is not None
            and self.record.boot_id == processes.boot_id()
        )

    @property
    def dirty(self) -> str:
        """What is wrong with hardware that nobody holds, "" where nothing is."""
        if self.record is None or not owned_files.is_trusted(self.file.owner):
            return ""
        return "" if self.held or self.in_use else safe_line(self.record.dirty, max_chars=200)

    def describe(self) -> str:
        """Whose it is and for what, for a person who waits for it."""
        if self.file.earlier:
            return f"a run of an earlier release ({self.file.path.name}, a file of {self.owner})"
        if self.record is None:
            return f"a run by {self.owner}"
        pids = f", pid {self.living[0]}" if self.living else ""
        return f"{self.subject} by {self.owner}{pids}"

    def remedy(self) -> str:
        """How a leftover that lives is ended."""
        if not self.file.is_mine:
            return f"`nightbench reap` as {self.owner} ends it"
        if self.standing.unproven:
            pids = ", ".join(map(str, self.standing.unproven))
            return f"{pids} without its launch mark: check it and end it by hand"
        return "`nightbench reap` ends it"


def survey(where: Path) -> tuple[list[LeaseState], list[Stray]]:
    """Every lease of this node, without changing any, and what else lies in the folder. Raises
    LeaseError where it cannot be read."""
    found, strays = _found(where)
    return [state for state in found if state.resource != LINE], strays


def states(where: Path) -> list[LeaseState]:
    """The leases alone."""
    return survey(where)[0]


def _found(
    where: Path, wanted: Container[str] | None = None
) -> tuple[list[LeaseState], list[Stray]]:
    """The lease files (of the `wanted` resources), waiting in line among them."""
    try:
        files, strays = lease_files.listing(where, wanted)
    except FileNotFoundError:
        return [], []
    except OSError as error:
        raise LeaseError(f"{where}, where hardware is leased, cannot be read: {error}") from error
    held = {file.resource for file in files if file.held}
    found, read, census = [], Counter[int](), Census()
    for file in files:
        read[file.owner] += 1
        is_read = file.is_mine or read[file.owner] <= READ_PER_OWNER
        if is_read or file.held:
            record = parse(file) if is_read else None
            lives = standing(record, file.owner, census) if record else Standing()
            found.append(LeaseState(file, record, lives, file.resource in held))
    return found, strays


# ---------------------------------------------------------------- what is in the way


@dataclass(frozen=True, slots=True)
class ResourceCheck:
    """A resource as it is now: "" or by whom it is held; and what says that it is dirty."""

    held_by: str = ""
    marks: tuple[LeaseState, ...] = ()

    @property
    def limits_bytes(self) -> list[int]:
        """What the marks allow of a GPU's memory to be in use."""
        limits = (mark.record.memory_limit_bytes for mark in self.marks if mark.record)
        return [limit for limit in limits if limit is not None]


def look(
    where: Path, resources: Container[str], ours: Container[Path] = ()
) -> Mapping[str, ResourceCheck]:
    """What is in the way of each resource, beside `ours`, once what dead runs of this user left
    there is ended. One that is not named is free."""
    looks: dict[str, ResourceCheck] = {}
    resisting: set[str] = set()
    for state in _found(where, resources)[0]:
        if state.file.path in ours:
            continue
        before = looks.get(state.resource, ResourceCheck())
        held_by = before.held_by or _in_the_way(state, resisting)
        marks = (*before.marks, state) if state.is_mark else before.marks
        looks[state.resource] = ResourceCheck(held_by, marks)
    return looks


def _in_the_way(state: LeaseState, resisting: set[str]) -> str:
    if state.held:
        return state.describe()
    is_over = _cleared(state, resisting) if state.file.is_mine else not state.living
    return "" if is_over else f"{state.describe()}, left behind ({state.remedy()})"


# ---------------------------------------------------------------- ending


def reap(where: Path, read_use: ReadUse = gpus.read_use) -> list[LeaseState]:
    """End every leftover of this user on this node, and tell what was found; `states` tells what
    remains. Raises LeaseError for a folder where others could have put a file of this user's."""
    lease_folder.check(where)
    left = [state for state in _found(where)[0] if state.is_leftover]
    resisting: set[str] = set()
    for state in left:
        if _cleared(state, resisting) and state.is_mark and _memory_is_back(state, read_use):
            forget(state)
    scratch.sweep()
    return [state for state in left if state.resource != LINE]


def _cleared(state: LeaseState, resisting: set[str]) -> bool:
    """Clear it, unless its launch has just resisted: it may have leased many cores."""
    launch_id = state.record.launch_id if state.record else ""
    if launch_id and launch_id in resisting:
        return False
    if clear(state):
        return True
    resisting.add(launch_id)
    return False


def clear(
    state: LeaseState,
    *,
    sleep: Sleep = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """End what a leftover of this user points at. False if something resists, or is not proven.

    The mark of a dirty GPU stays: its memory is for others to look at.
    """
    record, owner = state.record, state.file.owner
    if record is not None:
        if _is_alive(record, state.file.path.parent):
            return False
        deadline = clock() + PATIENCE_S
        while proven := (lives := standing(record, owner)).proven:
            if clock() > deadline:
                return False
            for pid, start in proven.items():
                processes.end(pid, start, owner)
            sleep(0.05)
        if lives.unproven:
            return False
        if record.container and not images.remove_of_launch(record.launch_id):
            return False
    if not state.is_mark:
        forget(state)
    return True


def _is_alive(record: Record, where: Path) -> bool:
    """Whether the launch holds a lease. What says otherwise was not written by its supervisor:
    where the kernel lets anybody link any file, others may put one of this user's files here."""
    if not record.processes and not record.container:
        return False
    mine = (state for state in states(where) if state.held and state.file.is_mine)
    return any(state.record and state.record.launch_id == record.launch_id for state in mine)


def forget(state: LeaseState) -> None:
    """Remove a lease file that nobody holds."""
    state.file.path.unlink(missing_ok=True)


def forget_mark(mark: LeaseState) -> None:
    """Its memory is back. One of root's stays for root, and says nothing wrong meanwhile."""
    if mark.file.is_mine:
        forget(mark)


def mark_dirty(where: Path, resource: str, record: Record) -> None:
    """Write down that this hardware was not given back; nothing where somebody holds it again.
    Raises LeaseError where it cannot be written down."""
    if any(state.held for state in _found(where, {resource})[0]):
        return
    try:
        lease_files.leave(where, resource, record.model_dump(mode="json"))
    except OSError as error:
        raise LeaseError(f"{resource} cannot be marked in {where}: {error}") from error


def _memory_is_back(state: LeaseState, read_use: ReadUse) -> bool:
    limit = state.record.memory_limit_bytes if state.record else None
    if limit is None:
        return True
    uuid = state.resource.removeprefix("gpu-")
    try:
        return read_use([uuid])[uuid].memory_used_bytes <= limit
    except LeaseError:
        return False  # what cannot be read is not proven

"""The GPUs of this machine through NVML, and which of them belong together.

NVML is passed in (the pynvml module), so that recorded answers of other machines can stand in.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nightbench.errors import LeaseError

Nvml = Any  # the pynvml module, which carries no types


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU. `index` is NVML's (PCI order), which CUDA's own need not be: name them by uuid.

    With MIG, one slice of a GPU: its uuid begins with MIG-, its index is the whole GPU's.
    """

    index: int
    uuid: str
    name: str
    memory_total_bytes: int
    power_limit_w: float | None = None
    max_sm_clock_mhz: int | None = None
    numa_node: int | None = None

    @property
    def is_slice(self) -> bool:
        """Whether it is a MIG slice: a GPU of its own to CUDA, out of reach of all others."""
        return self.uuid.startswith("MIG-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What NVML says. `problem` is why it says nothing: no driver, or one that does not match.

    `links[a, b]` (a < b, NVML indices) is how near two GPUs are: higher is nearer. `left_out` are
    MIG slices beside whole GPUs: what a target got would else change from night to night.
    `is_split` is whether any GPU of the machine is in MIG mode.
    """

    gpus: tuple[Gpu, ...] = ()
    left_out: tuple[Gpu, ...] = ()
    is_split: bool = False
    links: Mapping[tuple[int, int], int] | None = None
    driver_version: str | None = None
    cuda_version: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class GpuUse:
    """What lies in a GPU's memory now, and the processes that NVML lets us see."""

    memory_used_bytes: int
    pids: tuple[int, ...]


ReadUse = Callable[[Sequence[str]], Mapping[str, GpuUse]]


def load_nvml() -> Nvml:
    """The pynvml module: imported late, few commands need it."""
    import pynvml

    return pynvml


def read_inventory(nvml: Nvml | None = None, environ: Mapping[str, str] = os.environ) -> Inventory:
    """The GPUs this process may use: NVML's, narrowed by CUDA_VISIBLE_DEVICES where it is set."""
    nvml = nvml or load_nvml()
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return Inventory(problem=str(error))
    try:
        return _read(nvml, environ.get("CUDA_VISIBLE_DEVICES"))
    except nvml.NVMLError as error:
        return Inventory(problem=str(error))
    finally:
        nvml.nvmlShutdown()


def _read(nvml: Nvml, visible: str | None) -> Inventory:
    count = nvml.nvmlDeviceGetCount()
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
    devices = tuple(
        _gpu(nvml, index, device)
        for index, handle in enumerate(handles)
        for device in _devices(nvml, handle)
    )
    gpus = only_visible(devices, visible)
    whole = tuple(gpu for gpu in gpus if not gpu.is_slice)
    chosen = gpus if visible is not None else whole or gpus
    links = {
        (a, b): _nearness(nvml, handles[a], handles[b])
        for a, b in itertools.combinations(range(count), 2)
    }
    cuda = _optional(nvml, nvml.nvmlSystemGetCudaDriverVersion)
    return Inventory(
        gpus=chosen,
        left_out=tuple(gpu for gpu in gpus if gpu not in chosen),
        is_split=any(_is_split(nvml, handle) for handle in handles),
        links=links,
        driver_version=_text(nvml.nvmlSystemGetDriverVersion()),
        cuda_version=f"{cuda // 1000}.{cuda % 1000 // 10}" if cuda else None,
    )


def _devices(nvml: Nvml, handle: Any) -> list[Any]:
    """What CUDA sees of a GPU: itself or, where MIG is on, only the slices made of it."""
    if not _is_split(nvml, handle):
        return [handle]
    at_most = _optional(nvml, nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0
    slices = [
        _optional(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, place)
        for place in range(at_most)
    ]
    return [device for device in slices if device is not None]


def _is_split(nvml: Nvml, handle: Any) -> bool:
    mode = _optional(nvml, nvml.nvmlDeviceGetMigMode, handle)
    return mode is not None and bool(mode[0] == nvml.NVML_DEVICE_MIG_ENABLE)


def _gpu(nvml: Nvml, index: int, handle: Any) -> Gpu:
    limit_mw = _optional(nvml, nvml.nvmlDeviceGetPowerManagementLimit, handle)
    return Gpu(
        index=index,
        uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
        name=_text(nvml.nvmlDeviceGetName(handle)),
        memory_total_bytes=nvml.nvmlDeviceGetMemoryInfo(handle).total,
        power_limit_w=limit_mw / 1000 if limit_mw else None,
        max_sm_clock_mhz=_optional(
            nvml, nvml.nvmlDeviceGetMaxClockInfo, handle, nvml.NVML_CLOCK_SM
        ),
        numa_node=_optional(nvml, nvml.nvmlDeviceGetNumaNodeId, handle),
    )


def _optional(nvml: Nvml, function: Any, *arguments: Any) -> Any:
    """What a card or driver may not support: None then."""
    try:
        return function(*arguments)
    except nvml.NVMLError:
        return None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _nearness(nvml: Nvml, one: Any, other: Any) -> int:
    """100 over NVLink; else 50 (same board) down to 0 (other socket), as NVML's topology says."""
    linked = _optional(
        nvml, nvml.nvmlDeviceGetP2PStatus, one, other, nvml.NVML_P2P_CAPS_INDEX_NVLINK
    )
    if linked == nvml.NVML_P2P_STATUS_OK:
        return 100
    level = _optional(nvml, nvml.nvmlDeviceGetTopologyCommonAncestor, one, other)
    return 0 if level is None else max(0, 50 - int(level))


def only_visible(gpus: Sequence[Gpu], visible: str | None) -> tuple[Gpu, ...]:
    """The GPUs that CUDA_VISIBLE_DEVICES names: by index, by (a unique start of) UUID, a MIG slice
    by its whole UUID.

    As CUDA reads it: the first entry that names nothing ends the list.
    """
    if visible is None:
        return tuple(gpus)
    chosen: list[Gpu] = []
    for entry in (part.strip() for part in visible.split(",")):
        match = [
            gpu
            for gpu in gpus
            if (entry.isdigit() and gpu.index == int(entry) and not gpu.is_slice)
            or (entry.startswith("GPU-") and gpu.uuid.startswith(entry))
            or (entry.startswith("MIG-") and gpu.uuid == entry)
        ]
        if len(match) != 1:
            break
        chosen += match
    return tuple(chosen)


def cuda_env(leased: Sequence[Gpu], inventory: Inventory) -> dict[str, str]:
    """The variables that show an engine the GPUs it leased, and no others.

    By index, counted in the order of the PCI bus as NVML counts: many versions of vLLM take UUIDs
    for numbers and die. Where a GPU is split CUDA counts in a way of its own, so by UUID.
    """
    by_uuid = inventory.is_split
    names = [gpu.uuid if by_uuid else str(gpu.index) for gpu in leased]
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ",".join(names)}


def choose_nearest(
    free: Sequence[Gpu], count: int, links: Mapping[tuple[int, int], int] | None
) -> tuple[Gpu, ...] | None:
    """The `count` free GPUs that are connected best, None where there are not so many. MIG slices
    cannot talk to one another: one is taken alone or not at all.

    Every pair counts, for collectives are as fast as their slowest link: first the worst link, then
    the sum, then the same NUMA node, then the lowest indices.
    """
    if count > 1:
        free = [gpu for gpu in free if not gpu.is_slice]
    if len(free) < count:
        return None
    near = links or {}

    def merit(group: tuple[Gpu, ...]) -> tuple[int, int, int, list[int]]:
        pairs = [
            near.get((min(a.index, b.index), max(a.index, b.index)), 0)
            for a, b in itertools.combinations(group, 2)
        ]
        nodes = len({gpu.numa_node for gpu in group})
        return min(pairs, default=0), sum(pairs), -nodes, [-gpu.index for gpu in group]

    return max(itertools.combinations(sorted(free, key=lambda gpu: gpu.index), count), key=merit)


def read_use(uuids: Sequence[str], nvml: Nvml | None = None) -> dict[str, GpuUse]:
    """What lies in the memory of each GPU now. Raises LeaseError where NVML cannot say."""
    nvml = nvml or load_nvml()
    try:
        nvml.nvmlInit()
        try:
            return {uuid: _use(nvml, nvml.nvmlDeviceGetHandleByUUID(uuid)) for uuid in uuids}
        finally:
            nvml.nvmlShutdown()
    except nvml.NVMLError as error:
        raise LeaseError(
            f"the memory of the GPUs cannot be read: {error}",
            hint="Check that nvidia-smi works; after a driver update, reboot.",
        ) from error


def _use(nvml: Nvml, handle: Any) -> GpuUse:
    processes = _optional(nvml, nvml.nvmlDeviceGetComputeRunningProcesses, handle) or []
    return GpuUse(
        memory_used_bytes=nvml.nvmlDeviceGetMemoryInfo(handle).used,
        pids=tuple(sorted(process.pid for process in processes)),
    )

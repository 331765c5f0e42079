"""A node with GPUs as NVML tells of it: the pynvml functions that are used, over recorded answers.

The shapes are those of an 8-GPU HGX board (PCIe or NVLink), a 4-GPU workstation with NVLink pairs,
and an A100 split by MIG.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

# NVML_TOPOLOGY_*: 10 single switch, 20 multiple switches, 30 host bridge, 40 NUMA node, 50 system.
NODE, SYSTEM = 40, 50
IDLE_BYTES = 628621312  # what an idle H100 shows as used


class NVMLError(Exception):
    """As pynvml's."""


@dataclass(frozen=True)
class Slice:
    """The handle of a MIG device."""

    gpu: int
    place: int
    profile: str = "3g.40gb"

    @property
    def uuid(self) -> str:
        return f"MIG-{self.gpu}{self.place}11c5f4-8e4d-5a1f"


Handle = int | Slice


@dataclass
class RecordedNode:
    """The module pynvml, of a node. `used_bytes` and `pids` are what lies on its GPUs now."""

    count: int
    nvlink: set[frozenset[int]] = field(default_factory=set)
    numa: tuple[int, ...] = ()
    fails: str | None = None
    slices: tuple[Slice, ...] = ()
    split: frozenset[int] = frozenset()
    used_bytes: dict[int, int] = field(default_factory=dict)
    pids: dict[int, tuple[int, ...]] = field(default_factory=dict)
    given_back_after: int | None = None  # so many more readings of memory find it in use
    unsupported: frozenset[str] = frozenset()
    NVMLError: type[Exception] = NVMLError
    NVML_P2P_CAPS_INDEX_NVLINK: int = 2
    NVML_P2P_STATUS_OK: int = 0
    NVML_CLOCK_SM: int = 1
    NVML_CLOCK_MEM: int = 2
    NVML_TEMPERATURE_GPU: int = 0
    NVML_DEVICE_MIG_ENABLE: int = 1

    def refuse(self, function: str, handle: Handle = 0) -> None:
        """Fail as NVML does where a card, or a slice of one, does not support something."""
        if function in self.unsupported or isinstance(handle, Slice):
            raise NVMLError("Not Supported")

    def nvmlInit(self) -> None:  # noqa: N802
        if self.fails:
            raise NVMLError(self.fails)

    def nvmlShutdown(self) -> None: ...  # noqa: N802

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Handle:  # noqa: N802
        handles: list[Handle] = [*range(self.count), *self.slices]
        for handle in handles:
            if self.nvmlDeviceGetUUID(handle) == uuid:
                return handle
        raise NVMLError("Not Found")

    def nvmlDeviceGetUUID(self, handle: Handle) -> str:  # noqa: N802
        return handle.uuid if isinstance(handle, Slice) else f"GPU-{handle}a{handle}"

    def nvmlDeviceGetName(self, handle: Handle) -> bytes:  # noqa: N802
        profile = f" MIG {handle.profile}" if isinstance(handle, Slice) else ""
        return f"NVIDIA H100 80GB HBM3{profile}".encode()

    def nvmlDeviceGetMemoryInfo(self, handle: Handle) -> SimpleNamespace:  # noqa: N802
        if isinstance(handle, Slice):
            return SimpleNamespace(total=42144366592, used=39059456)
        if self.given_back_after is not None:
            self.given_back_after -= 1
            if self.given_back_after < 0:
                self.used_bytes.clear()
        used = self.used_bytes.get(handle, IDLE_BYTES)
        return SimpleNamespace(total=85520809984, used=used)

    def nvmlDeviceGetComputeRunningProcesses(  # noqa: N802
        self, handle: Handle
    ) -> list[SimpleNamespace]:
        pids = self.pids.get(handle, ()) if isinstance(handle, int) else ()
        return [SimpleNamespace(pid=pid) for pid in pids]

    def nvmlDeviceGetPowerManagementLimit(self, handle: Handle) -> int:  # noqa: N802
        self.refuse("power", handle)
        return 700000

    def nvmlDeviceGetMaxClockInfo(self, handle: Handle, clock: int) -> int:  # noqa: N802
        self.refuse("clocks", handle)
        assert clock == self.NVML_CLOCK_SM
        return 1980

    def nvmlDeviceGetNumaNodeId(self, handle: Handle) -> int:  # noqa: N802
        if not self.numa or isinstance(handle, Slice):
            raise NVMLError("Not Supported")
        return self.numa[handle]

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "570.124.06"

    def nvmlSystemGetCudaDriverVersion(self) -> int:  # noqa: N802
        return 12080

    def nvmlDeviceGetP2PStatus(self, one: int, other: int, _: int) -> int:  # noqa: N802
        return 0 if frozenset((one, other)) in self.nvlink else 5

    def nvmlDeviceGetTopologyCommonAncestor(self, one: int, other: int) -> int:  # noqa: N802
        return NODE if self.numa and self.numa[one] == self.numa[other] else SYSTEM

    def nvmlDeviceGetMigMode(self, handle: int) -> list[int]:  # noqa: N802
        if not self.split:
            raise NVMLError("Not Supported")
        return [int(handle in self.split)] * 2

    def nvmlDeviceGetMaxMigDeviceCount(self, _: int) -> int:  # noqa: N802
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: int, place: int) -> Slice:  # noqa: N802
        for one in self.slices:
            if (one.gpu, one.place) == (handle, place):
                return one
        raise NVMLError("Not Found")

    def nvmlDeviceGetUtilizationRates(self, handle: Handle) -> SimpleNamespace:  # noqa: N802
        self.refuse("utilization", handle)
        return SimpleNamespace(gpu=97, memory=41)

    def nvmlDeviceGetPowerUsage(self, handle: Handle) -> int:  # noqa: N802
        self.refuse("power", handle)
        return 512345

    def nvmlDeviceGetTemperature(self, handle: Handle, sensor: int) -> int:  # noqa: N802
        self.refuse("temperature", handle)
        assert sensor == self.NVML_TEMPERATURE_GPU
        return 61

    def nvmlDeviceGetClockInfo(self, handle: Handle, clock: int) -> int:  # noqa: N802
        self.refuse("clocks", handle)
        return {self.NVML_CLOCK_SM: 1755, self.NVML_CLOCK_MEM: 2619}[clock]

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: Handle) -> int:  # noqa: N802
        self.refuse("throttle", handle)
        return 4  # SW power cap


def pcie_8() -> RecordedNode:
    """Eight GPUs without NVLink, four on each socket."""
    return RecordedNode(8, numa=(0, 0, 0, 0, 1, 1, 1, 1))


def hgx_8() -> RecordedNode:
    """Eight GPUs, every pair over NVSwitch, four on each socket."""
    every = {frozenset((a, b)) for a in range(8) for b in range(a)}
    return RecordedNode(8, nvlink=every, numa=(0, 0, 0, 0, 1, 1, 1, 1))


def pairs_4() -> RecordedNode:
    """Four GPUs, 0 with 2 and 1 with 3 over NVLink bridges."""
    return RecordedNode(4, nvlink={frozenset((0, 2)), frozenset((1, 3))})


def split_2() -> RecordedNode:
    """Two GPUs, the second split in two by MIG."""
    return RecordedNode(2, split=frozenset({1}), slices=(Slice(1, 0), Slice(1, 2)))

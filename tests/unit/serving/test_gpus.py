"""NVML, against answers of the shape that real 4- and 8-GPU nodes give."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from nightbench.errors import LeaseError
from nightbench.serving import gpus
from nightbench.serving.gpus import Gpu, choose_nearest, only_visible
from nightbench.serving.provenance import hardware_class

# NVML_TOPOLOGY_*: 10 single switch, 20 multiple switches, 30 host bridge, 40 NUMA node, 50 system.
NODE, SYSTEM = 40, 50


class NVMLError(Exception):
    """As pynvml's."""


@dataclass
class RecordedNode:
    """The pynvml functions that are used, over a recorded node."""

    count: int
    nvlink: set[frozenset[int]] = field(default_factory=set)
    numa: tuple[int, ...] = ()
    fails: str | None = None
    NVMLError: type[Exception] = NVMLError
    NVML_P2P_CAPS_INDEX_NVLINK: int = 2
    NVML_P2P_STATUS_OK: int = 0
    NVML_CLOCK_SM: int = 1

    def nvmlInit(self) -> None:  # noqa: N802
        if self.fails:
            raise NVMLError(self.fails)

    def nvmlShutdown(self) -> None: ...  # noqa: N802

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> str:  # noqa: N802
        return f"GPU-{handle}a{handle}"

    def nvmlDeviceGetName(self, _: int) -> bytes:  # noqa: N802
        return b"NVIDIA H100 80GB HBM3"

    def nvmlDeviceGetMemoryInfo(self, _: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(total=85520809984, used=628621312)

    def nvmlDeviceGetPowerManagementLimit(self, _: int) -> int:  # noqa: N802
        return 700000

    def nvmlDeviceGetMaxClockInfo(self, _: int, clock: int) -> int:  # noqa: N802
        assert clock == self.NVML_CLOCK_SM
        return 1980

    def nvmlDeviceGetNumaNodeId(self, handle: int) -> int:  # noqa: N802
        if not self.numa:
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


PCIE_8 = RecordedNode(8, numa=(0, 0, 0, 0, 1, 1, 1, 1))
PAIRS_4 = RecordedNode(4, nvlink={frozenset((0, 2)), frozenset((1, 3))})


def test_a_node_is_read_as_it_is() -> None:
    inventory = gpus.read_inventory(PCIE_8, {})
    assert len(inventory.gpus) == 8
    assert (inventory.driver_version, inventory.cuda_version) == ("570.124.06", "12.8")
    assert inventory.gpus[5] == Gpu(
        index=5,
        uuid="GPU-5a5",
        name="NVIDIA H100 80GB HBM3",
        memory_total_bytes=85520809984,
        power_limit_w=700.0,
        max_sm_clock_mhz=1980,
        numa_node=1,
    )


def test_a_driver_that_does_not_match_is_a_problem_and_not_a_crash() -> None:
    inventory = gpus.read_inventory(RecordedNode(0, fails="Driver/library version mismatch"), {})
    assert inventory.gpus == ()
    assert inventory.problem == "Driver/library version mismatch"


def test_memory_that_cannot_be_read_is_a_lease_error_with_advice() -> None:
    with pytest.raises(LeaseError, match="Driver/library version mismatch") as caught:
        gpus.read_use(["GPU-0a0"], RecordedNode(1, fails="Driver/library version mismatch"))
    assert "reboot" in caught.value.hint


def test_four_of_eight_come_from_one_socket() -> None:
    inventory = gpus.read_inventory(PCIE_8, {})
    free = [gpu for gpu in inventory.gpus if gpu.index != 1]
    chosen = choose_nearest(free, 4, inventory.links)
    assert chosen is not None
    assert [gpu.index for gpu in chosen] == [4, 5, 6, 7]


def test_two_of_four_are_the_ones_with_nvlink_between_them() -> None:
    inventory = gpus.read_inventory(PAIRS_4, {})
    chosen = choose_nearest(inventory.gpus[1:], 2, inventory.links)
    assert chosen is not None
    assert [gpu.index for gpu in chosen] == [1, 3]


def test_fewer_free_than_asked_for_is_no_choice() -> None:
    assert choose_nearest(gpus.read_inventory(PAIRS_4, {}).gpus, 5, None) is None


def test_cuda_visible_devices_narrows_by_index_and_by_uuid() -> None:
    everything = gpus.read_inventory(PCIE_8, {}).gpus
    assert [g.index for g in only_visible(everything, "3,GPU-5a")] == [3, 5]
    assert [g.index for g in only_visible(everything, "2,-1,3")] == [2], "as CUDA reads it"
    assert only_visible(everything, "") == ()


def test_the_hardware_class_is_model_count_and_power_limit() -> None:
    inventory = gpus.read_inventory(PAIRS_4, {})
    assert hardware_class(inventory.gpus, (), "cpu") == "NVIDIA H100 80GB HBM3 700 W x4"
    assert hardware_class((), (0, 1), "AMD EPYC") == "AMD EPYC x2"

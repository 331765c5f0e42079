"""NVML, against answers of the shape that real 4- and 8-GPU nodes give."""

from __future__ import annotations

import pytest
from recorded_node import RecordedNode, Slice, hgx_8, pairs_4, pcie_8, split_2

from nightbench.errors import LeaseError
from nightbench.serving.hardware import gpus
from nightbench.serving.hardware.gpus import Gpu, choose_nearest, only_visible
from nightbench.serving.provenance import hardware_class

PCIE_8, PAIRS_4 = pcie_8(), pairs_4()


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


@pytest.mark.parametrize(
    "problem",
    ["Driver/library version mismatch", "NVML Shared Library Not Found", "Driver Not Loaded"],
)
def test_a_driver_that_is_not_right_is_a_problem_and_not_a_crash(problem: str) -> None:
    inventory = gpus.read_inventory(RecordedNode(0, fails=problem), {})
    assert inventory.gpus == ()
    assert inventory.problem == problem


def test_the_real_nvml_is_asked_and_its_absence_is_no_crash() -> None:
    """Here, wherever here is."""
    inventory = gpus.read_inventory(environ={})
    assert (inventory.problem is None) == (inventory.driver_version is not None)
    assert not (inventory.problem and inventory.gpus)


def test_every_name_the_recorded_nodes_answer_to_is_one_of_pynvml() -> None:
    """Else a node could be recorded that no driver knows."""
    import pynvml

    names = [name for name in dir(RecordedNode) if name.lower().startswith("nvml")]
    assert len(names) > 20
    assert [name for name in names if not hasattr(pynvml, name)] == []
    for name in names:
        ours = getattr(RecordedNode(1), name)
        if isinstance(ours, int) and name.startswith("NVML_"):
            assert ours == getattr(pynvml, name), name


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


def test_where_every_pair_has_nvlink_four_of_eight_still_share_a_socket() -> None:
    inventory = gpus.read_inventory(hgx_8(), {})
    free = [gpu for gpu in inventory.gpus if gpu.index not in (0, 5)]
    assert choose_nearest(free, 4, inventory.links) is not None
    everything = choose_nearest(inventory.gpus, 8, inventory.links)
    assert everything is not None
    assert [gpu.index for gpu in everything] == list(range(8))
    chosen = choose_nearest([g for g in inventory.gpus if g.index], 4, inventory.links)
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


def test_a_gpu_that_is_split_is_not_there_and_its_slices_wait_to_be_named() -> None:
    inventory = gpus.read_inventory(split_2(), {})
    assert [gpu.uuid for gpu in inventory.gpus] == ["GPU-0a0"]
    assert [gpu.index for gpu in inventory.left_out] == [1, 1]
    first = inventory.left_out[0].uuid
    named = gpus.read_inventory(split_2(), {"CUDA_VISIBLE_DEVICES": first})
    assert [gpu.uuid for gpu in named.gpus] == [first]
    assert named.left_out == ()
    assert named.gpus[0].is_slice
    assert hardware_class(named.gpus, (), "cpu") == "NVIDIA H100 80GB HBM3 MIG 3g.40gb x1"


def test_where_there_are_only_slices_one_is_had_but_never_two_together() -> None:
    node = RecordedNode(1, split=frozenset({0}), slices=(Slice(0, 0), Slice(0, 1)))
    inventory = gpus.read_inventory(node, {})
    assert len(inventory.gpus) == 2
    assert choose_nearest(inventory.gpus, 1, inventory.links) is not None
    assert choose_nearest(inventory.gpus, 2, inventory.links) is None


def test_a_gpu_with_mig_on_and_no_slice_made_cannot_be_had() -> None:
    inventory = gpus.read_inventory(RecordedNode(2, split=frozenset({0, 1})), {})
    assert inventory.gpus == inventory.left_out == ()
    assert inventory.problem is None

"""This machine, as far as serving needs to know it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nightbench.serving.hardware import gpus, lease_folder, leases, telemetry
from nightbench.serving.hardware.gpus import Gpu, GpuUse, Inventory, Nvml
from nightbench.serving.hardware.telemetry import Sampler


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """GPUs, cores, and the folder where they are leased. `nvml` None is the real one."""

    inventory: Inventory
    cores: tuple[int, ...]
    leases: Path
    nvml: Nvml | None = None

    @property
    def has_gpu(self) -> bool:
        """Whether NVML finds a GPU that this process may use."""
        return bool(self.inventory.gpus)

    def gpu_use(self, uuids: Sequence[str]) -> Mapping[str, GpuUse]:
        """What lies in those GPUs' memory."""
        return gpus.read_use(uuids, self.nvml) if uuids else {}

    def sampler(self, leased: Sequence[Gpu], root: int) -> Sampler:
        """Telemetry of what was leased: of the GPUs, else of the process tree below `root`."""
        if leased:
            return telemetry.GpuSampler(leased, self.nvml or gpus.load_nvml(), root)
        return telemetry.ProcessSampler(root)


def this_machine(nvml: Nvml | None = None) -> Machine:
    """What is here now."""
    return Machine(
        inventory=gpus.read_inventory(nvml),
        cores=leases.usable_cores(),
        leases=lease_folder.directory(),
        nvml=nvml,
    )

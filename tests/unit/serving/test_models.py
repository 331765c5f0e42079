"""Where models are, and how it is said that one is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightbench.errors import DataError, EngineEnvironmentError
from nightbench.home.paths import Home
from nightbench.progress import ignore
from nightbench.serving.provision import models
from nightbench.serving.provision.environments import EngineEnvironment

ENVIRONMENT = EngineEnvironment(key="executable", flavour="cpu", executable=Path("/vllm"))


def resolve(model: str, folder: Path) -> Path:
    return models.resolve(model, Home(folder), ENVIRONMENT, folder, on_progress=ignore)


def test_a_path_starts_from_the_suites_folder(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    assert resolve("m", tmp_path) == tmp_path / "m"
    assert resolve(str(tmp_path / "m"), Path("/")) == tmp_path / "m"


@pytest.mark.parametrize("model", ["m", "/no/such/model", "builtin:gpt-9"])
def test_a_model_that_is_not_there_is_named_with_the_forms_there_are(
    model: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        resolve(model, tmp_path)
    assert model.rpartition(":")[2] in caught.value.message
    assert "builtin:smollm2-135m-instruct" in caught.value.hint


def test_a_built_in_model_that_was_made_is_used_again(tmp_path: Path) -> None:
    made = tmp_path / "models" / "smollm2-135m-instruct"
    made.mkdir(parents=True)
    assert resolve("builtin:smollm2-135m-instruct", tmp_path) == made


def test_a_built_in_model_is_also_there_as_the_file_it_is_packaged_in(tmp_path: Path) -> None:
    made = tmp_path / "models" / "smollm2-135m-instruct.gguf" / "SmolLM2.Q4_1.gguf"
    made.parent.mkdir(parents=True)
    made.touch()
    assert resolve("builtin:smollm2-135m-instruct.gguf", tmp_path) == made


def test_converting_needs_an_environment_of_ours(tmp_path: Path) -> None:
    with pytest.raises(EngineEnvironmentError, match="converted in an environment"):
        resolve("builtin:smollm2-135m-instruct", tmp_path)

"""Small models of the families that our suites name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nightbench.rehearsal import miniatures


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    folder = tmp_path / "shipped"
    folder.mkdir()
    (folder / "tokenizer.json").write_text("ours")
    return folder


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("/models/ZhipuAI/GLM-4.5-Air", "glm4_moe"),
        ("modelscope:Qwen/Qwen3-8B", "qwen3"),
        ("gemma3:4b", "gemma3_text"),
        ("modelscope:Shanghai_AI_Laboratory/internlm2_5-1_8b-chat", "internlm2"),
        ("something-else", "llama"),
    ],
)
def test_a_name_tells_its_family(name: str, family: str, shipped: Path, tmp_path: Path) -> None:
    assert miniatures.family_of(name) == family
    miniatures.write(tmp_path / "mini", name, shipped)
    config = json.loads((tmp_path / "mini" / "config.json").read_text())
    assert config["model_type"] == family
    assert config["num_hidden_layers"] == 2
    assert config["vocab_size"] == 49152
    assert (tmp_path / "mini" / "tokenizer.json").read_text() == "ours"
    assert (tmp_path / "mini" / "configuration_internlm2.py").exists() is (family == "internlm2")


def test_a_model_that_is_here_is_shrunk_and_keeps_what_is_its_own(
    shipped: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    config = {
        "model_type": "new_moe",
        "architectures": ["NewMoeForCausalLM"],
        "hidden_size": 8192,
        "num_hidden_layers": 92,
        "num_experts": 128,
        "vocab_size": 151552,
        "rope_theta": 1e6,
        "layer_types": ["a"] * 90 + ["b", "c"],
        "quantization_config": {"quant_method": "fp8"},
    }
    (own / "config.json").write_text(json.dumps(config))
    (own / "tokenizer.json").write_text("theirs")
    told = miniatures.write(tmp_path / "mini", "anything", shipped, own)
    small = json.loads((tmp_path / "mini" / "config.json").read_text())
    kept = {key: small[key] for key in ("model_type", "architectures", "vocab_size", "rope_theta")}
    assert kept == {key: config[key] for key in kept}
    assert (small["hidden_size"], small["num_hidden_layers"], small["num_experts"]) == (256, 2, 4)
    assert small["layer_types"] == ["b", "c"]
    assert "quantization_config" not in small
    assert (tmp_path / "mini" / "tokenizer.json").read_text() == "theirs"
    assert told == "two layers of its own config, shrunk, its own tokenizer"

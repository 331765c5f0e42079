"""Models of two layers with the architecture of the real ones: what an engine reads before weights.

An engine started with `--load-format dummy` makes up the weights; config and tokenizer are the
model's own where they are at hand, shrunk, else those of its family here.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Config = dict[str, Any]

# Heads of 64: vLLM on CPUs boots with smaller ones and dies of its first request.
SIZES: Config = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "moe_intermediate_size": 128,
    "n_routed_experts": 4,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
    "num_nextn_predict_layers": 0,
}
# The tokenizer that ships (SmolLM2's): its size, and the tokens that begin and end.
SHIPPED_TOKENS: Config = {
    "vocab_size": 49152,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
}
_COMMON: Config = {
    **{key: SIZES[key] for key in list(SIZES)[:6]},
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    "hidden_act": "silu",
    "attention_bias": False,
    "tie_word_embeddings": False,
    "dtype": "float32",
}
FAMILIES: dict[str, Config] = {
    "glm4_moe": _COMMON
    | {
        "architectures": ["Glm4MoeForCausalLM"],
        "attention_bias": True,
        "partial_rotary_factor": 0.5,
        "rope_parameters": _COMMON["rope_parameters"] | {"partial_rotary_factor": 0.5},
        "use_qk_norm": False,
        "norm_topk_prob": True,
        "routed_scaling_factor": 1.0,
        **{key: SIZES[key] for key in SIZES if key not in ("num_experts", "num_local_experts")},
    },
    "qwen3": _COMMON | {"architectures": ["Qwen3ForCausalLM"]},
    "gemma3_text": _COMMON
    | {
        "architectures": ["Gemma3ForCausalLM"],
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": 64,
        "sliding_window": 512,
        "layer_types": ["sliding_attention", "full_attention"],
        "rope_parameters": {
            kind: {"rope_type": "default", "rope_theta": 10000.0}
            for kind in ("sliding_attention", "full_attention")
        },
    },
    "internlm2": _COMMON
    | {
        "architectures": ["InternLM2ForCausalLM"],
        "auto_map": {"AutoConfig": "configuration_internlm2.InternLM2Config"},
        "bias": False,
    },
    "llama": _COMMON | {"architectures": ["LlamaForCausalLM"], "mlp_bias": False},
}
_NAMED: tuple[tuple[str, str], ...] = (
    (r"glm-?4\.[5-9]", "glm4_moe"),
    (r"qwen-?3", "qwen3"),
    (r"gemma-?3", "gemma3_text"),
    (r"internlm-?2", "internlm2"),
)
# transformers has no InternLM2: the real repository brings its own, and so does the miniature.
_INTERNLM2 = '''"""InternLM2's configuration, as far as an engine reads it."""

from transformers import PretrainedConfig


class InternLM2Config(PretrainedConfig):
    """Every field is in config.json."""

    model_type = "internlm2"
'''
_TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"),
    *("vocab.json", "merges.txt", "tokenizer.model", "added_tokens.json"),
)


def family_of(name: str) -> str:
    """The family a model's name tells; a Llama where it tells none."""
    return next((family for said, family in _NAMED if re.search(said, name, re.I)), "llama")


def needs_remote_code(family: str) -> bool:
    """Whether a miniature of the family brings its own Python."""
    return family == "internlm2"


def write(folder: Path, name: str, shipped: Path, own: Path | None = None) -> str:
    """Write the miniature of the model that is called `name` and, where it is here, lies in `own`.

    `shipped` is the folder with the tokenizer that ships. Returns what was made, for a person.
    """
    folder.mkdir(parents=True, exist_ok=True)
    own_config = _read(own / "config.json") if own else None
    own_tokens = own is not None and (own / "tokenizer.json").is_file()
    family = family_of(name)
    if own_config is not None:
        config = shrunk(own_config)
    else:
        config = FAMILIES[family] | {"model_type": family}
    config |= {} if own_tokens else SHIPPED_TOKENS
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    if needs_remote_code(family) and own_config is None:
        (folder / "configuration_internlm2.py").write_text(_INTERNLM2)
    for code in own.glob("*.py") if own and own_config is not None else ():
        shutil.copyfile(code, folder / code.name)  # what its config's auto_map names
    source = own if own_tokens and own else shipped
    for file in _TOKENIZER_FILES:
        if (source / file).is_file():
            shutil.copyfile(source / file, folder / file)
    told = "its own config, shrunk" if own_config is not None else f"the {family} family's config"
    return f"two layers of {told}, {'its own' if own_tokens else 'the built-in'} tokenizer"


def shrunk(config: Mapping[str, Any]) -> Config:
    """The config with small sizes where it names any; quantisation is left out."""
    small = {key: SIZES.get(key, value) for key, value in config.items()}
    if isinstance(small.get("layer_types"), list):
        small["layer_types"] = small["layer_types"][-SIZES["num_hidden_layers"] :]
    small.pop("quantization_config", None)
    return small | {"dtype": "float32"}


def _read(path: Path) -> Config | None:
    try:
        config: Config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return config if isinstance(config.get("model_type"), str) else None

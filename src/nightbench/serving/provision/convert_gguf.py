"""GGUF to a folder that vLLM serves. Run inside an engine environment: SOURCE_FOLDER TARGET_FOLDER.

Float32, because the quantised weights expand exactly; without lm_head, because it is tied to the
embeddings; without quantization_config, because what is written is not quantised any more.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def convert(source: Path, target: Path) -> None:
    """Write model, config, generation config and tokenizer."""
    import torch  # type: ignore[import-not-found]
    from safetensors.torch import save_file  # type: ignore[import-not-found]
    from transformers import AutoModelForCausalLM, AutoTokenizer  # type: ignore[import-not-found]

    gguf_file = next(source.glob("*.gguf")).name
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=gguf_file)
    model = AutoModelForCausalLM.from_pretrained(source, gguf_file=gguf_file, dtype=torch.float32)
    target.mkdir(parents=True)
    weights: dict[str, Any] = {
        name: tensor.contiguous()
        for name, tensor in model.state_dict().items()
        if not name.startswith("lm_head")
    }
    save_file(weights, str(target / "model.safetensors"), metadata={"format": "pt"})
    config = model.config.to_dict()
    config.pop("quantization_config", None)
    config["architectures"] = [type(model).__name__]
    (target / "config.json").write_text(json.dumps(config, indent=1))
    model.generation_config.save_pretrained(target)
    tokenizer.save_pretrained(target)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))

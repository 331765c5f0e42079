"""A Llama with random weights, small enough to boot anywhere. Run in an engine environment:
TOKENIZER_FOLDER TARGET_FOLDER HEAD_DIM.

A head_dim of 64 works everywhere; vLLM boots with 16 and dies of its first request.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Write model and tokenizer."""
    import torch  # type: ignore[import-not-found]
    from transformers import (  # type: ignore[import-not-found]
        AutoTokenizer,
        LlamaConfig,
        LlamaForCausalLM,
    )

    tokenizer_folder, target, head_dim = sys.argv[1], sys.argv[2], int(sys.argv[3])
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=4 * head_dim,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(target)
    tokenizer.save_pretrained(target)


if __name__ == "__main__":
    main()

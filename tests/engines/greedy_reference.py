"""Greedy answers of transformers in float32. Run in an engine environment: MODEL MAX_TOKENS.

Chats come as a JSON list of strings on stdin, answers go as one to stdout.
"""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Answer each prompt on its own: no batch, no padding, nothing that could differ."""
    import torch  # type: ignore[import-not-found]
    from transformers import (  # type: ignore[import-not-found]
        AutoModelForCausalLM,
        AutoTokenizer,
    )

    model_path, max_tokens = sys.argv[1], int(sys.argv[2])
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32)
    model.eval()
    answers = []
    for prompt in json.load(sys.stdin):
        chat = [{"role": "user", "content": prompt}]
        inputs = tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        with torch.inference_mode():
            output = model.generate(
                **inputs, do_sample=False, max_new_tokens=max_tokens, repetition_penalty=1.0
            )
        new = output[0][inputs["input_ids"].shape[1] :]
        answers.append(tokenizer.decode(new, skip_special_tokens=True))
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()

"""Counting and making tokens with a model's own tokenizer, where one is given."""

from __future__ import annotations

import importlib
import random
from pathlib import Path
from typing import Any, Protocol

from nightbench.errors import BadInput, DataError


class Tokenizer(Protocol):
    """What prompts need of a tokenizer."""

    def count(self, text: str) -> int:
        """How many tokens a text has, without special ones."""

    def random_text(self, length: int, rng: random.Random) -> str:
        """A text of `length` random tokens."""


class HubTokenizer:
    """The `tokenizer.json` of a model folder. Needs the `tokenizers` package."""

    def __init__(self, path: Path) -> None:
        try:
            backend = importlib.import_module("tokenizers").Tokenizer
        except ImportError as error:
            raise BadInput(
                "--tokenizer needs the tokenizers package, which is not installed",
                hint="pip install tokenizers, or omit --tokenizer: lengths are then in words",
            ) from error
        file = path / "tokenizer.json" if path.is_dir() else path
        if not file.is_file():
            raise DataError(
                f"{file} does not exist", hint="name a model folder or a tokenizer.json"
            )
        self._backend: Any = backend.from_file(str(file))

    def count(self, text: str) -> int:
        """How many tokens a text has, without special ones."""
        ids: list[int] = self._backend.encode(text, add_special_tokens=False).ids
        return len(ids)

    def random_text(self, length: int, rng: random.Random) -> str:
        """A text of `length` random tokens: decoded, and encoded again until the length holds.

        As `vllm bench` does: decoding random ids and encoding the text may merge a few of them.
        """
        size = self._backend.get_vocab_size(with_added_tokens=False)
        ids = [rng.randrange(size) for _ in range(length)]
        for _ in range(10):
            text: str = self._backend.decode(ids)
            again = self._backend.encode(text, add_special_tokens=False).ids
            if len(again) == length:
                break
            ids = (again + [rng.randrange(size) for _ in range(length)])[:length]
        return text

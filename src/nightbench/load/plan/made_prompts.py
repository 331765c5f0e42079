"""Prompts that are made, not read: one text again and again, or random words."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nightbench.errors import BadInput
from nightbench.load.plan.workloads import Prompts, sendable

if TYPE_CHECKING:
    from nightbench.load.plan.tokens import Tokenizer
    from nightbench.suite.models import Workload

# Short common words: one token each, with the space before, in nearly every vocabulary.
_COMMON = """
time year people way day man thing woman life child world school state family student group
country problem hand part place case week company system program question work number night point
home water room mother area money story fact month lot right study book eye job word business
issue side kind head house service friend father power hour game line end member law car city name
team minute idea body back parent face others level office door health person art war history
party result change morning reason research girl guy moment air teacher force
"""
_WORDS = tuple(_COMMON.split())


def one_prompt(workload: Workload, count: int, _seed: int, _: Tokenizer | None) -> Prompts:
    """The workload's prompt, every time: hits of the prefix cache are part of it."""
    return Prompts(_Same(sendable(workload.prompt or ""), count), shares_prefix=True)


def random_words(workload: Workload, count: int, seed: int, tokenizer: Tokenizer | None) -> Prompts:
    """Prompts of so many tokens (words, without a tokenizer) that share nothing."""
    return Prompts(_Random(workload.random_input_len or 1, count, seed, tokenizer))


def random_argument(text: str) -> dict[str, Any]:
    """`random:TOKENS`. Raises BadInput."""
    if not (text or "128").isdigit():
        raise BadInput(f"--dataset random:{text}: expected random:TOKENS, such as random:128")
    return {"random_input_len": int(text or 128)}


@dataclass(frozen=True, slots=True)
class _Same(Sequence[str]):
    text: str
    size: int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: Any) -> Any:
        return self.text


@dataclass(frozen=True, slots=True)
class _Random(Sequence[str]):
    """Made when asked for: a million prompts take no memory."""

    length: int
    size: int
    seed: int
    tokenizer: Tokenizer | None

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: Any) -> Any:
        rng = random.Random(f"random-{self.seed}-{index}")  # noqa: S311
        if self.tokenizer is not None:
            return self.tokenizer.random_text(self.length, rng)
        return " ".join(rng.choices(_WORDS, k=self.length))

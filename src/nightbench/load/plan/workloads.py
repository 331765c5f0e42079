"""Prompts: where they come from, in which order, and that there are enough of them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightbench.errors import DataError
from nightbench.load.plan.prompt_files import read_texts
from nightbench.plugins import WORKLOADS

if TYPE_CHECKING:
    from nightbench.load.plan.tokens import Tokenizer
    from nightbench.suite.models import Workload


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompts in the order they are sent. `shares_prefix`: cache hits are part of the workload."""

    texts: Sequence[str]
    shares_prefix: bool = False

    def __len__(self) -> int:
        return len(self.texts)

    def slice(self, first: int, count: int) -> Iterator[str]:
        """`count` prompts from the `first` on."""
        return (self.texts[index] for index in range(first, first + count))

    def digest(self, first: int, count: int) -> str:
        """What these prompts are, whatever file they came from."""
        digest = hashlib.sha256()
        for text in self.slice(first, count):
            encoded = text.encode()
            digest.update(len(encoded).to_bytes(8, "little"))
            digest.update(encoded)
        return digest.hexdigest()


def sendable(text: str) -> str:
    """The text as UTF-8 can hold it: half a character of a data set (a lone surrogate) becomes the
    sign for what is no character."""
    if text.isascii():
        return text
    halves = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return halves.encode("utf-8", "replace").decode()


def prompt_hash(text: str) -> str:
    """The name of a prompt in rows: 16 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptLengths:
    """Which prompts of a data set are taken: by tokens where there is a tokenizer, by characters
    else."""

    shortest: int = 0
    longest: int | None = None

    def fits(self, length: int) -> bool:
        """Whether a prompt of this length is taken."""
        return length >= self.shortest and (self.longest is None or length <= self.longest)


def read_prompts(
    workload: Workload,
    count: int,
    seed: int,
    base_dir: Path,
    *,
    lengths: PromptLengths = PromptLengths(),
    tokenizer: Tokenizer | None = None,
) -> Prompts:
    """`count` prompts of a workload in a seeded order; with a tokenizer, lengths are tokens.

    Raises DataError where the data cannot be read or holds fewer prompts than `count` and the
    workload does not say `repeat`: going round would measure the server's prefix cache.
    """
    make = WORKLOADS.find(workload.kind).make
    if make is not None:
        made: Prompts = make(workload, count, seed, tokenizer)
        return made
    path = workload.source
    texts = [sendable(text) for text in read_texts(workload, base_dir)]
    measure = tokenizer.count if tokenizer else len
    if lengths != PromptLengths():
        texts = [text for text in texts if lengths.fits(measure(text))]
    random.Random(f"prompts-{seed}").shuffle(texts)  # noqa: S311 an order, not a secret
    if len(texts) >= count:
        return Prompts(texts[:count])
    if not workload.repeat or not texts:
        raise DataError(
            f"{path} holds {len(texts)} prompts{_of(lengths)}; {count} are asked for, warm-up and "
            "all levels together",
            hint="ask for fewer (num_prompts, warmup_prompts, fewer levels), give more data, or "
            "set repeat: true and accept that the server's prefix cache is measured",
        )
    return Prompts(_Repeated(texts, count), shares_prefix=True)


def _of(lengths: PromptLengths) -> str:
    return "" if lengths == PromptLengths() else " of the lengths asked for"


@dataclass(frozen=True, slots=True)
class _Repeated(Sequence[str]):
    texts: list[str]
    size: int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: Any) -> Any:
        return self.texts[index % len(self.texts)]

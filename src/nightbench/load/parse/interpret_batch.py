"""What came of many requests, by column: the usual answers in C, all others in Python."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from nightbench.load.native.answers import UNUSUAL, AnswerReader
from nightbench.load.parse.interpret import CONTRADICTED, NOTHING_SECRET, Outcome, outcome_of
from nightbench.load.parse.stream_events import Translate
from nightbench.load.parse.token_counts import believed, checked_prompt, visible
from nightbench.records import kinds_of
from nightbench.secrets.redaction import Redactor
from nightbench.untrusted.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightbench.load.parse.raw_records import RawRequestArrays

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

_KINDS = {name: kind for name, (kind, _) in kinds_of(Outcome).items()}
NUMBERS = tuple(name for name, kind in _KINDS.items() if kind is int)
TEXTS = tuple(name for name, kind in _KINDS.items() if kind is str)
# What a `struct answer` says of an answer.
_SAID = (
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "first_answer",
)


@dataclass(frozen=True, slots=True)
class OutcomeArrays:
    """The fields of `Outcome` of n requests, with m chunks of output among them.

    `numbers`: by the names of NUMBERS, shape (n,), float64; NaN where a request has none. `texts`:
    by the names of TEXTS, n each; None where it has none. `streamed`: shape (n,), bool.
    `chunk_counts`: shape (n,), int64. `chunk_reads`, `chunk_tokens`: shape (m,), int64, one
    request's after another's: the read that a chunk was complete with, counted within its request,
    and its tokens.
    """

    numbers: dict[str, Floats]
    texts: dict[str, list[str | None]]
    streamed: NDArray[np.bool_]
    chunk_counts: Integers
    chunk_reads: Integers
    chunk_tokens: Integers

    def __getitem__(self, name: str) -> Floats:
        return self.numbers[name]


def outcomes_of(
    raws: RawRequestArrays,
    reader: AnswerReader | None,
    translate: Translate | None = None,
    *,
    redact: Redactor = NOTHING_SECRET,
    answer_bytes: int = DEFAULT_LIMITS.answer_bytes,
    most_tokens: float = math.inf,
) -> OutcomeArrays:
    """Classify requests and find their output chunks. Never raises for what a server sent.

    `translate` makes an event of OpenAI's shape of one that has another; only Python knows it.
    `redact` takes out what a server repeats of our keys; `answer_bytes` is the most that an answer
    may unpack to, `most_tokens` what each request allowed it.
    """

    def read(number: int) -> Outcome:
        return outcome_of(
            raws.request(number),
            translate,
            redact=redact,
            answer_bytes=answer_bytes,
            most_tokens=most_tokens,
        )

    if reader is None or translate is not None:
        return by_column([read(number) for number in range(len(raws))])
    answers, chunk_reads = reader.read(raws)
    usual = _usual(answers, chunk_reads.astype(np.int64), redact, most_tokens)
    unusual = np.flatnonzero(answers["chunks"] == UNUSUAL)
    if not len(unusual):
        return usual
    return _merged(usual, unusual, [read(number) for number in unusual.tolist()])


def by_column(outcomes: list[Outcome]) -> OutcomeArrays:
    """Outcomes that were found one at a time."""
    counts = np.array([len(found.chunks) for found in outcomes], dtype=np.int64)
    numbers = {name: _floats(outcomes, name) for name in NUMBERS}
    tokens = spread_tokens(counts, _visible(numbers))
    for found, end, count in zip(outcomes, counts.cumsum(), counts, strict=True):
        if found.chunk_tokens is not None:
            tokens[end - count : end] = found.chunk_tokens
    return OutcomeArrays(
        numbers=numbers,
        texts={name: [getattr(found, name) for found in outcomes] for name in TEXTS},
        streamed=np.array([found.streamed for found in outcomes], dtype=np.bool_),
        chunk_counts=counts,
        chunk_reads=np.array(list(chain.from_iterable(f.chunks for f in outcomes)), dtype=np.int64),
        chunk_tokens=tokens,
    )


def spread_tokens(chunk_counts: Integers, tokens: Floats) -> Integers:
    """Tokens of each chunk where only those of the whole answer are known: evenly.

    One token more than chunks is the end-of-sequence token, which carries no text: one each.
    """
    one_each = np.isnan(tokens) | (tokens == chunk_counts) | (tokens == chunk_counts + 1)
    if one_each.all():
        return np.ones(int(chunk_counts.sum()), dtype=np.int64)
    wanted = np.where(one_each, chunk_counts, np.nan_to_num(tokens)).astype(np.int64)
    chunks, total = np.repeat(chunk_counts, chunk_counts), np.repeat(wanted, chunk_counts)
    number = np.arange(len(chunks)) - np.repeat(chunk_counts.cumsum() - chunk_counts, chunk_counts)
    spread: Integers = (number + 1) * total // chunks - number * total // chunks
    return spread


def _visible(numbers: dict[str, Floats]) -> Floats:
    names = ("completion_tokens", "reasoning_tokens", "first_answer")
    return visible(*(numbers[name] for name in names))


def _floats(outcomes: list[Outcome], name: str) -> Floats:
    return np.array([getattr(found, name) for found in outcomes], dtype=np.float64)


def _usual(
    answers: NDArray[np.void], chunk_reads: Integers, redact: Redactor, most_tokens: float
) -> OutcomeArrays:
    """The outcomes of usual answers: status 200, streamed, no error. Of others it has no chunks."""
    counts = np.maximum(answers["chunks"], 0)
    numbers = {name: _counted(answers[name]) for name in _SAID}
    said, reasoning = numbers["completion_tokens"], numbers["reasoning_tokens"]
    tokens, wrong = believed(
        said,
        counts,
        answers["body_bytes"],
        reasoning,
        answers["counted_at"].astype(np.float64),
        most_tokens=most_tokens,
    )
    prompt, cached = checked_prompt(numbers["prompt_tokens"], numbers["cached_tokens"])
    source = np.where(np.isnan(said), "chunks", np.where(wrong, CONTRADICTED, "usage"))
    numbers |= {
        "http_status": np.full(len(answers), 200.0),
        "prompt_tokens": prompt,
        "cached_tokens": cached,
        "completion_tokens": tokens,
        "said_tokens": np.where(wrong, said, np.nan),
        "foreign": np.zeros(len(answers)),
    }
    nothing: list[str | None] = [None] * len(answers)
    reasons = set(answers["finish_reason"].tolist())
    names = {reason: redact(reason.decode()) or None for reason in reasons}
    return OutcomeArrays(
        numbers=numbers,
        texts={
            "token_source": source.tolist(),
            "finish_reason": [names[name] for name in answers["finish_reason"].tolist()],
            "error_kind": nothing,
            "error": nothing.copy(),
        },
        streamed=np.ones(len(answers), dtype=np.bool_),
        chunk_counts=counts,
        chunk_reads=chunk_reads,
        chunk_tokens=spread_tokens(counts, _visible(numbers)),
    )


def _counted(values: Integers) -> Floats:
    return np.where(values >= 0, values, np.nan)


def _merged(usual: OutcomeArrays, places: Integers, found: list[Outcome]) -> OutcomeArrays:
    """`usual`, with what was found of the requests at `places`, of which it has no chunks."""
    others = by_column(found)
    for name in NUMBERS:
        usual[name][places] = others[name]
    for name in TEXTS:
        for place, text in zip(places.tolist(), others.texts[name], strict=True):
            usual.texts[name][place] = text
    usual.streamed[places] = others.streamed
    before = np.repeat(usual.chunk_counts.cumsum()[places], others.chunk_counts)
    usual.chunk_counts[places] = others.chunk_counts
    return OutcomeArrays(
        numbers=usual.numbers,
        texts=usual.texts,
        streamed=usual.streamed,
        chunk_counts=usual.chunk_counts,
        chunk_reads=np.insert(usual.chunk_reads, before, others.chunk_reads),
        chunk_tokens=np.insert(usual.chunk_tokens, before, others.chunk_tokens),
    )

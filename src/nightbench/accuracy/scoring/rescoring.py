"""Scoring replies that were made elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nightbench.accuracy.benchmark import Benchmark, Question, Score, ScoreReply, opened_score
from nightbench.accuracy.record_fields import as_text, label_of, listed_choices_of, wordings
from nightbench.accuracy.scoring.choices import score_choice_en, score_choice_zh
from nightbench.accuracy.templates import labels
from nightbench.data.loading import Record
from nightbench.errors import BadInput, DataError
from nightbench.stats import wilson_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredReplies:
    """Scores in the order of the replies, and their summary."""

    scores: tuple[Score, ...]

    @property
    def num_correct(self) -> int:
        """Right answers, by EvalScope's score."""
        return sum(score.correct for score in self.scores)

    @property
    def num_correct_strict(self) -> int:
        """Right answers, by ours."""
        return sum(score.correct_strict for score in self.scores)

    @property
    def disagreements(self) -> int:
        """Replies on which the two differ."""
        return sum(score.correct != score.correct_strict for score in self.scores)

    @property
    def extraction_failed(self) -> int:
        """Replies in which no answer was found."""
        return sum(score.extraction_failed for score in self.scores)

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return self.num_correct / len(self.scores) if self.scores else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval (Wilson)."""
        return wilson_interval(self.num_correct, len(self.scores))


def score_replies(
    benchmark: Benchmark, records: Sequence[Record], subset: str | None = None
) -> ScoredReplies:
    """Score records of `reply`, `gold` and (for multiple choice) `choices`.

    `choices` is the list of choices, or how many there are; without it there are four. Raises
    DataError that names the record where a field is missing.
    """
    if benchmark.executes_code:
        raise BadInput(
            f"{benchmark.name} is scored by running tests, which a file of replies does not "
            f"contain",
            hint="Use nightbench eval.",
        )
    own = benchmark.subset(subset).score if subset is not None else None
    with opened_score(benchmark) as opened:
        score = own or opened
        return ScoredReplies(
            scores=tuple(
                score(question, reply)
                for question, reply in _asked(records, chosen=_is_chosen(own or benchmark.score))
            )
        )


def _asked(records: Sequence[Record], *, chosen: bool) -> Iterable[tuple[Question, str]]:
    for number, record in enumerate(records, start=1):
        missing = [field for field in ("reply", "gold") if field not in record]
        if missing:
            raise DataError(
                f"reply {number} has no field {missing[0]!r}",
                hint="Each line has reply, gold and, for multiple choice, choices.",
            )
        try:
            question = _question(record, chosen=chosen)
        except ValueError as error:
            raise DataError(f"reply {number} cannot be scored: {error}") from None
        yield question, "" if record["reply"] is None else as_text(record["reply"])


def _is_chosen(score: ScoreReply | None) -> bool:
    """Whether replies are labels of choices."""
    return score in (score_choice_en, score_choice_zh)


def _question(record: Record, *, chosen: bool) -> Question:
    choices, names = _choices(record.get("choices"))
    text = str(record.get("question") or "")
    if chosen:
        return Question(text=text, choices=choices, gold=_label(record["gold"], choices, names))
    gold, *accepted = wordings(record["gold"])
    return Question(text=text, choices=choices, gold=gold, accepted=tuple(accepted))


def _label(gold: object, choices: tuple[str, ...], names: tuple[str, ...]) -> str:
    """The right choice; a label beyond the choices that were counted is none that a reply has."""
    if isinstance(gold, str) and gold.strip().upper() in labels(26)[len(choices) :]:
        return gold.strip().upper()
    return label_of(gold, choices, names)


def _choices(value: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if value is None:
        return labels(4), ()
    if isinstance(value, int | float) and 1 < value <= 100:
        return labels(int(value)), ()
    return listed_choices_of(value)

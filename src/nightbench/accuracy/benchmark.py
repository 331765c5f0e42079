"""What a benchmark is: where its records are, how one is asked, how a reply is scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from nightbench.data.loading import HubName, Record
from nightbench.suite.models import Generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One record, as every benchmark sees it.

    `gold` is the answer: a label for multiple choice, text or a number else. `solution` is the
    worked answer where examples show one. `accepted` lists other wordings that count as `gold`.
    """

    text: str
    gold: str
    choices: tuple[str, ...] = ()
    solution: str = ""
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a reply was worth: EvalScope's way (`correct`) and ours (`correct_strict`).

    `extracted` is None where nothing could be read as an answer (`extraction_failed`).
    """

    extracted: str | None
    extracted_strict: str | None
    correct: bool
    correct_strict: bool

    @property
    def extraction_failed(self) -> bool:
        """No answer could be read out of the reply."""
        return self.extracted is None


ToQuestion = Callable[[Record], Question]
Prompt = Callable[[Question, Sequence[Question]], str]
ScoreReply = Callable[[Question, str], Score]
OpenScore = Callable[[], AbstractContextManager[ScoreReply]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """A part of a benchmark with a score of its own.

    `config` is its name on the hub where that is another one. `to_question`, `prompt`, `score` and
    `generation` replace the benchmark's for this subset.
    """

    name: str
    config: str | None = None
    to_question: ToQuestion | None = None
    prompt: Prompt | None = None
    score: ScoreReply | None = None
    generation: Generation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPool:
    """Records of all subsets that lie together, and the field that tells them apart.

    `configs` are read one after the other; `hubs` are those that hold them so.
    """

    subset_of: Callable[[Record], str]
    configs: tuple[str, ...] = ("default",)
    hubs: tuple[HubName, ...] = ("hf", "modelscope")


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A data set with its prompt, extraction and scoring. Declared once, in one file.

    `split` is what is asked, `shot_split` where the `few_shot` examples come from (the first ones
    of the subset, in order). `builtin` is a folder that holds the records: one of this package's by
    its name, any other by its whole path. Exactly one of `score` (a pure function) and `open_score`
    (one that needs a process of its own while a benchmark is scored) is given. `generation` fills
    in what a suite leaves unset.
    """

    name: str
    summary: str
    subsets: tuple[Subset, ...]
    to_question: ToQuestion
    prompt: Prompt
    score: ScoreReply | None = None
    open_score: OpenScore | None = None
    split: str = "test"
    shot_split: str = ""
    few_shot: int = 0
    huggingface: str | None = None
    modelscope: str | None = None
    builtin: str | None = None
    pool: RecordPool | None = None
    executes_code: bool = False
    generation: Generation = field(default_factory=Generation)
    reference: str = ""  # whose prompts and scoring are followed

    def subset(self, name: str) -> Subset:
        """The subset of that name. Raises KeyError."""
        return {subset.name: subset for subset in self.subsets}[name]


@contextmanager
def opened_score(benchmark: Benchmark) -> Iterator[ScoreReply]:
    """The benchmark's scorer, with the process it needs, if any, for as long as the context."""
    if benchmark.score is not None:
        yield benchmark.score
    elif benchmark.open_score is not None:
        with benchmark.open_score() as score:
            yield score
    else:
        raise TypeError(f"{benchmark.name} declares neither score nor open_score")


def subsets(*names: str) -> tuple[Subset, ...]:
    """Subsets that differ in nothing but their name."""
    return tuple(Subset(name=name) for name in names)

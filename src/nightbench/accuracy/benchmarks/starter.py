"""starter: ships with nightbench, small enough for two cores and a very small model.

IQ and EQ are in IQuiz's format, Chinese and English. `anchor` has easy questions that even a model
of 135 million parameters mostly answers right: a night on which something is broken shows there as
a drop, where IQ and EQ are noise around chance.
"""

from nightbench.accuracy.benchmark import Benchmark, Subset
from nightbench.accuracy.records_to_questions import listed_choices, short_answers
from nightbench.accuracy.scoring.choices import score_choice_zh
from nightbench.accuracy.scoring.phrases import score_phrase
from nightbench.accuracy.templates import choose_zh_with_steps, only_the_question
from nightbench.suite.models import Generation

BENCHMARK = Benchmark(
    name="starter",
    summary="small mixed set that ships with nightbench; its anchor shows a broken night",
    builtin="starter",
    subsets=(
        Subset(
            name="anchor",
            to_question=short_answers,
            prompt=only_the_question,
            score=score_phrase,
            generation=Generation(max_tokens=24),
        ),
        Subset(name="IQ"),
        Subset(name="EQ"),
    ),
    to_question=listed_choices,
    prompt=choose_zh_with_steps,
    score=score_choice_zh,
    generation=Generation(max_tokens=32),
)

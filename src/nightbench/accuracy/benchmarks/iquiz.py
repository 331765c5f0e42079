"""IQuiz: Chinese riddles of intelligence (IQ, 40) and of tact (EQ, 80)."""

from nightbench.accuracy.benchmark import Benchmark, subsets
from nightbench.accuracy.records_to_questions import listed_choices
from nightbench.accuracy.scoring.choices import score_choice_zh
from nightbench.accuracy.templates import choose_zh_with_steps

BENCHMARK = Benchmark(
    name="iquiz",
    summary="intelligence and tact, Chinese, single choice with reasoning",
    modelscope="AI-ModelScope/IQuiz",
    subsets=subsets("IQ", "EQ"),
    to_question=listed_choices,
    prompt=choose_zh_with_steps,
    score=score_choice_zh,
    reference="evalscope",
)

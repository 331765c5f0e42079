"""GSM8K: grade-school word problems with a number as answer (MIT)."""

from nightbench.accuracy.benchmark import Benchmark, subsets
from nightbench.accuracy.records_to_questions import gsm8k_record
from nightbench.accuracy.scoring.mathematics import math_scorer
from nightbench.accuracy.templates import solve_boxed

BENCHMARK = Benchmark(
    name="gsm8k",
    summary="grade-school word problems, 4-shot",
    huggingface="openai/gsm8k",
    modelscope="AI-ModelScope/gsm8k",
    subsets=subsets("main"),
    shot_split="train",
    few_shot=4,
    to_question=gsm8k_record,
    prompt=solve_boxed,
    open_score=math_scorer,
    reference="evalscope",
)

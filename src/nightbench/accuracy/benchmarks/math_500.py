"""MATH-500: 500 problems of competition MATH, by level (MIT)."""

from nightbench.accuracy.benchmark import Benchmark, RecordPool, subsets
from nightbench.accuracy.records_to_questions import level_of, math_500_record
from nightbench.accuracy.scoring.mathematics import math_scorer
from nightbench.accuracy.templates import solve_boxed

BENCHMARK = Benchmark(
    name="math_500",
    summary="500 competition problems, five levels, 0-shot",
    huggingface="HuggingFaceH4/MATH-500",
    modelscope="AI-ModelScope/MATH-500",
    pool=RecordPool(subset_of=level_of),
    subsets=subsets(*(f"Level {level}" for level in range(1, 6))),
    to_question=math_500_record,
    prompt=solve_boxed,
    open_score=math_scorer,
    reference="evalscope",
)

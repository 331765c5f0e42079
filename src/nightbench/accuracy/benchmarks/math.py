"""MATH: 5,000 competition problems, by level (MIT)."""

from nightbench.accuracy.benchmark import Benchmark, RecordPool, subsets
from nightbench.accuracy.records_to_questions import level_of
from nightbench.accuracy.scoring.mathematics import competition_record, math_scorer
from nightbench.accuracy.templates import solve_competition

_TYPES = (
    "algebra counting_and_probability geometry intermediate_algebra number_theory prealgebra "
    "precalculus"
)

BENCHMARK = Benchmark(
    name="math",
    summary="5,000 competition problems, five levels, 4-shot",
    huggingface="EleutherAI/hendrycks_math",
    pool=RecordPool(
        subset_of=level_of,
        configs=tuple(_TYPES.split()),
    ),
    subsets=subsets(*(f"Level {level}" for level in range(1, 6))),
    shot_split="train",
    few_shot=4,
    to_question=competition_record,
    prompt=solve_competition,
    open_score=math_scorer,
    reference="evalscope",
)

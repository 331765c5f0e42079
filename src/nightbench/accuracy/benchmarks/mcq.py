"""mcq: your own multiple-choice questions, from JSONL, CSV or Parquet.

A record has `question`, the choices as `A`, `B`, … (or a list `choices`), and `answer` (a label).
"""

from nightbench.accuracy.benchmark import Benchmark, subsets
from nightbench.accuracy.records_to_questions import own_choices
from nightbench.accuracy.scoring.choices import score_choice_zh
from nightbench.accuracy.templates import choose_zh

BENCHMARK = Benchmark(
    name="mcq",
    summary="your own multiple-choice questions (--data FILE)",
    subsets=subsets("default"),
    split="val",
    shot_split="dev",
    to_question=own_choices,
    prompt=choose_zh,
    score=score_choice_zh,
    reference="evalscope",
)

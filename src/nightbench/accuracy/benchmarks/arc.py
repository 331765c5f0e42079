"""ARC: school science questions, an easy and a challenge set (CC BY-SA 4.0)."""

from nightbench.accuracy.benchmark import Benchmark, subsets
from nightbench.accuracy.records_to_questions import arc_record
from nightbench.accuracy.scoring.choices import score_choice_en
from nightbench.accuracy.templates import choose_en

BENCHMARK = Benchmark(
    name="arc",
    summary="school science, single choice, 0-shot",
    huggingface="allenai/ai2_arc",
    modelscope="allenai/ai2_arc",
    subsets=subsets("ARC-Easy", "ARC-Challenge"),
    to_question=arc_record,
    prompt=choose_en,
    score=score_choice_en,
    reference="evalscope",
)

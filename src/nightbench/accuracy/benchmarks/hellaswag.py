"""HellaSwag: which ending follows, asked on the validation split (MIT)."""

from nightbench.accuracy.benchmark import Benchmark, subsets
from nightbench.accuracy.records_to_questions import hellaswag_record
from nightbench.accuracy.scoring.choices import score_choice_en
from nightbench.accuracy.templates import choose_en

BENCHMARK = Benchmark(
    name="hellaswag",
    summary="everyday situations, which ending follows, 0-shot",
    huggingface="Rowan/hellaswag",
    modelscope="evalscope/hellaswag",
    subsets=subsets("default"),
    split="validation",
    to_question=hellaswag_record,
    prompt=choose_en,
    score=score_choice_en,
    reference="evalscope",
)

"""TruthfulQA (mc1): questions that people often answer wrongly (Apache-2.0)."""

from nightbench.accuracy.benchmark import Benchmark, subsets
from nightbench.accuracy.records_to_questions import truthful_record
from nightbench.accuracy.scoring.choices import score_choice_en
from nightbench.accuracy.templates import choose_en

BENCHMARK = Benchmark(
    name="truthful_qa",
    summary="common misconceptions, one true choice, shuffled by a fixed seed",
    huggingface="truthfulqa/truthful_qa",
    modelscope="evalscope/truthful_qa",
    subsets=subsets("multiple_choice"),
    split="validation",
    to_question=truthful_record,
    prompt=choose_en,
    score=score_choice_en,
    reference="evalscope",
)

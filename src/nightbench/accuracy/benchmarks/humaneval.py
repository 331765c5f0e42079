"""HumanEval: 164 Python functions, judged by running their tests (MIT).

Runs code that a model wrote, so a suite must say `allow_code_execution: true`.
"""

from nightbench.accuracy.benchmark import Benchmark, subsets
from nightbench.accuracy.scoring.programs import code_scorer, humaneval_record
from nightbench.accuracy.templates import only_the_question

BENCHMARK = Benchmark(
    name="humaneval",
    summary="Python functions, judged by running their tests, 0-shot",
    huggingface="openai/openai_humaneval",
    modelscope="opencompass/humaneval",
    subsets=subsets("openai_humaneval"),
    to_question=humaneval_record,
    prompt=only_the_question,
    open_score=code_scorer,
    executes_code=True,
    reference="evalscope",
)

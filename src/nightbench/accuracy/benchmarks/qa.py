"""qa: your own questions with a short answer, from JSONL, CSV or Parquet.

A record has `question` and `answer` (a text, or a list of wordings that all count). A reply is
right when it says the answer. (EvalScope's general_qa gives ROUGE and BLEU instead, which are no
shares of right answers.)
"""

from nightbench.accuracy.benchmark import Benchmark, subsets
from nightbench.accuracy.records_to_questions import own_answers
from nightbench.accuracy.scoring.phrases import score_phrase
from nightbench.accuracy.templates import only_the_question

BENCHMARK = Benchmark(
    name="qa",
    summary="your own questions with a short answer (--data FILE)",
    subsets=subsets("default"),
    to_question=own_answers,
    prompt=only_the_question,
    score=score_phrase,
)

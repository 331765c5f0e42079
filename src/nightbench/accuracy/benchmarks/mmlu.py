"""MMLU: 57 subjects, from school to profession (MIT)."""

from nightbench.accuracy.benchmark import Benchmark, RecordPool, subsets
from nightbench.accuracy.records_to_questions import indexed_choices
from nightbench.accuracy.scoring.choices import score_choice_en
from nightbench.accuracy.templates import choose_en_with_steps

_SUBJECTS = """
    abstract_algebra anatomy astronomy business_ethics clinical_knowledge college_biology
    college_chemistry college_computer_science college_mathematics college_medicine
    college_physics computer_security conceptual_physics econometrics electrical_engineering
    elementary_mathematics formal_logic global_facts high_school_biology
    high_school_chemistry high_school_computer_science high_school_european_history
    high_school_geography high_school_government_and_politics high_school_macroeconomics
    high_school_mathematics high_school_microeconomics high_school_physics
    high_school_psychology high_school_statistics high_school_us_history
    high_school_world_history human_aging human_sexuality international_law jurisprudence
    logical_fallacies machine_learning management marketing medical_genetics miscellaneous
    moral_disputes moral_scenarios nutrition philosophy prehistory professional_accounting
    professional_law professional_medicine professional_psychology public_relations
    security_studies sociology us_foreign_policy virology world_religions
"""

BENCHMARK = Benchmark(
    name="mmlu",
    summary="57 subjects in English, single choice with reasoning, 5-shot",
    huggingface="cais/mmlu",
    modelscope="cais/mmlu",
    pool=RecordPool(subset_of=lambda record: str(record["subject"]), configs=("all",)),
    subsets=subsets(*_SUBJECTS.split()),
    shot_split="dev",
    few_shot=5,
    to_question=indexed_choices,
    prompt=choose_en_with_steps,
    score=score_choice_en,
    reference="evalscope",
)

"""CMMLU: 67 subjects of Chinese knowledge, from school to profession (CC BY-NC 4.0)."""

from nightbench.accuracy.benchmark import Benchmark, RecordPool, subsets
from nightbench.accuracy.records_to_questions import cmmlu_record
from nightbench.accuracy.scoring.choices import score_choice_zh
from nightbench.accuracy.templates import choose_zh_with_steps

_SUBJECTS = """
    agronomy anatomy ancient_chinese arts astronomy business_ethics
    chinese_civil_service_exam chinese_driving_rule chinese_food_culture
    chinese_foreign_policy chinese_history chinese_literature chinese_teacher_qualification
    college_actuarial_science college_education college_engineering_hydrology college_law
    college_mathematics college_medical_statistics clinical_knowledge college_medicine
    computer_science computer_security conceptual_physics construction_project_management
    economics education elementary_chinese elementary_commonsense
    elementary_information_and_technology electrical_engineering elementary_mathematics
    ethnology food_science genetics global_facts high_school_biology high_school_chemistry
    high_school_geography high_school_mathematics high_school_physics high_school_politics
    human_sexuality international_law journalism jurisprudence legal_and_moral_basis logical
    machine_learning management marketing marxist_theory modern_chinese nutrition philosophy
    professional_accounting professional_law professional_medicine professional_psychology
    public_relations security_study sociology sports_science traditional_chinese_medicine
    virology world_history world_religions
"""

BENCHMARK = Benchmark(
    name="cmmlu",
    summary="67 subjects in Chinese, single choice with reasoning, 0-shot",
    huggingface="haonan-li/cmmlu",
    modelscope="evalscope/cmmlu",
    pool=RecordPool(subset_of=lambda record: str(record["category"]), hubs=("modelscope",)),
    subsets=subsets(*_SUBJECTS.split()),
    to_question=cmmlu_record,
    prompt=choose_zh_with_steps,
    score=score_choice_zh,
    reference="evalscope",
)

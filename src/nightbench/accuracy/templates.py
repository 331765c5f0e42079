"""The prompts of EvalScope 1.14 (Apache-2.0), word for word, so that scores can be compared."""

from __future__ import annotations

from collections.abc import Sequence

from nightbench.accuracy.benchmark import Question

_EN_ONLY = (
    "Answer the following multiple choice question. The entire content of your response should be "
    "of the following format: 'ANSWER: [LETTER]' (without quotes) where [LETTER] is one of "
    "{letters}.\n\n{question}\n\n{choices}"
)
_EN_STEPS = (
    "Answer the following multiple choice question. The last line of your response should be of "
    "the following format: 'ANSWER: [LETTER]' (without quotes) where [LETTER] is one of {letters}. "
    "Think step by step before answering.\n\n{question}\n\n{choices}"
)
_ZH_STEPS = (
    "回答下面的单项选择题，请选出其中的正确答案。你的回答的最后一行应该是这样的格式："
    '"答案：[LETTER]"（不带引号），其中 [LETTER] 是 {letters} 中的一个。'
    "请在回答前进行一步步思考。\n\n问题：{question}\n选项：\n{choices}\n"
)
_EN_SHOTS = "Here are some examples of how to answer similar questions:\n\n{shots}\n\n"
_ZH_SHOTS = "以下是一些示例问题：\n\n{shots}\n\n"


def label(index: int) -> str:
    """The label of the choice at `index`: A to Z, then 1, 2, …"""
    return chr(ord("A") + index) if index < 26 else str(index - 25)


def labels(count: int) -> tuple[str, ...]:
    """The labels of that many choices."""
    return tuple(label(index) for index in range(count))


def choice_lines(choices: Sequence[str]) -> str:
    """`A) first`, `B) second`, one a line."""
    return "\n".join(f"{label(index)}) {choice}" for index, choice in enumerate(choices))


def choose_zh_with_steps(question: Question, shots: Sequence[Question]) -> str:
    """Chinese single choice, reasoning first (IQuiz, CMMLU, C-Eval)."""
    examples = "\n\n".join(
        f"问题：{shot.text}\n选项：\n{choice_lines(shot.choices)}\n答案：{shot.gold}"
        for shot in shots
    )
    return _with_shots(_ZH_SHOTS, examples) + _filled(_ZH_STEPS, question)


def choose_en(question: Question, shots: Sequence[Question]) -> str:
    """English single choice, nothing but the letter (ARC, HellaSwag, TruthfulQA)."""
    return _with_shots(_EN_SHOTS, _english_examples(shots)) + _filled(_EN_ONLY, question)


def choose_en_with_steps(question: Question, shots: Sequence[Question]) -> str:
    """English single choice, reasoning first (MMLU)."""
    return _with_shots(_EN_SHOTS, _english_examples(shots)) + _filled(_EN_STEPS, question)


def _english_examples(shots: Sequence[Question]) -> str:
    return "\n\n".join(
        f"{shot.text}\n{choice_lines(shot.choices)}\nANSWER: {shot.gold}" for shot in shots
    )


def _with_shots(template: str, examples: str) -> str:
    return template.format(shots=examples) if examples else ""


def _filled(template: str, question: Question) -> str:
    return template.format(
        letters=",".join(labels(len(question.choices))),
        question=question.text,
        choices=choice_lines(question.choices),
    )

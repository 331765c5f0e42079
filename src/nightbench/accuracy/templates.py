"""The prompts of EvalScope 1.14 (Apache-2.0), word for word, so that scores can be compared."""

from __future__ import annotations

from collections.abc import Sequence

from nightbench.accuracy.benchmark import Prompt, Question

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
_ZH_ONLY = (
    "回答下面的单项选择题，请选出其中的正确答案。你的回答的全部内容应该是这样的格式："
    '"答案：[LETTER]"（不带引号），其中 [LETTER] 是 {letters} 中的一个。\n\n'
    "问题：{question}\n选项：\n{choices}\n"
)
_CEVAL = (
    "以下是中国关于{subject}的单项选择题，请选出其中的正确答案。你的回答的最后一行应该是这样的格式："
    '"答案：[LETTER]"（不带引号），其中 [LETTER] 是 A、B、C、D 中的一个。\n\n'
    "问题：{question}\n选项：\n{choices}\n"
)
_BOXED = "\nPlease reason step by step, and put your final answer within \\boxed{}."
_PROBLEM_SHOTS = "Here are some examples of how to solve similar problems:\n\n{shots}\n\n"
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


def choose_zh(question: Question, shots: Sequence[Question]) -> str:
    """Chinese single choice, nothing but the letter (people's own questions)."""
    return _with_shots(_EN_SHOTS, _english_examples(shots)) + _filled(_ZH_ONLY, question)


def choose_en(question: Question, shots: Sequence[Question]) -> str:
    """English single choice, nothing but the letter (ARC, HellaSwag, TruthfulQA)."""
    return _with_shots(_EN_SHOTS, _english_examples(shots)) + _filled(_EN_ONLY, question)


def choose_en_with_steps(question: Question, shots: Sequence[Question]) -> str:
    """English single choice, reasoning first (MMLU)."""
    return _with_shots(_EN_SHOTS, _english_examples(shots)) + _filled(_EN_STEPS, question)


def ceval_prompt(title: str) -> Prompt:
    """C-Eval's own wording, which names the subject and shows worked examples."""

    def prompt(question: Question, shots: Sequence[Question]) -> str:
        examples = "\n\n".join(
            f"问题：{shot.text}\n选项：\n{_dotted_choices(shot.choices)}\n"
            f"解析：{shot.solution}\n答案：{shot.gold}"
            for shot in shots
        )
        asked = _CEVAL.format(
            subject=title, question=question.text, choices=_dotted_choices(question.choices)
        )
        return (_with_shots(_ZH_SHOTS, examples) + "\n" if shots else "") + asked

    return prompt


def solve_boxed(question: Question, shots: Sequence[Question]) -> str:
    """A problem whose answer goes into \\boxed (GSM8K, MATH-500)."""
    examples = "\n\n".join(
        f"{shot.text}\n\nReasoning:\n{shot.solution}\n\nANSWER: \\boxed{{{shot.gold}}}"
        for shot in shots
    )
    return _with_shots(_PROBLEM_SHOTS, examples) + question.text + _BOXED


def solve_competition(question: Question, shots: Sequence[Question]) -> str:
    """The same in the wording of competition MATH."""
    examples = "\n\n".join(f"Problem:\n{shot.text}\nSolution:\n{shot.gold}" for shot in shots)
    shown = _PROBLEM_SHOTS.removesuffix("\n").format(shots=examples) if shots else ""
    return f"{shown}Problem:\n{question.text}\n{_BOXED}\n"


def only_the_question(question: Question, _: Sequence[Question]) -> str:
    """The question as it stands."""
    return question.text


def _dotted_choices(choices: Sequence[str]) -> str:
    return "\n".join(f"{label(index)}. {choice}" for index, choice in enumerate(choices))


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

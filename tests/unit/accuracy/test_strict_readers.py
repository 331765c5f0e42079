"""What a careful person takes for a reply's answer, kind by kind."""

from __future__ import annotations

import pytest

from nightbench.accuracy.scoring.code_blocks import program_of
from nightbench.accuracy.scoring.strict_choices import read_label_strictly
from nightbench.accuracy.scoring.strict_mathematics import read_final_answer
from nightbench.accuracy.templates import labels

ABCD = labels(4)


@pytest.mark.parametrize(
    "reply",
    [
        "答案：B\n\n解析：A项错误，因此不选A。",
        "答案：B。如果选 C 则矛盾。",
        "答案：B（A、C、D错误）",
        "答案不是A，而是B。",
        "不能选A，也不选C，应选B。",
        "若选A，则矛盾；故选B。",
        "选A是错误的，应该选B",
        "选B。有人会选C，但那是错的。",
        "The correct answer is B. A common wrong answer is C.",
        "The answer is B. If it were A, the sum would be 7.",
        "If the answer is A, the sum is odd. So the answer is B.",
        "The answer is not A but B.",
        "The answer isn't C; it's B.",
        "The answer would be A if x were 3, but x is 4, so the answer is B",
        "Answer: B\n\nIf you chose A, you forgot to carry.",
        "The correct answer is B. People say the answer is C.",
    ],
)
def test_an_option_that_is_denied_or_supposed_is_not_the_answer(reply: str) -> None:
    assert read_label_strictly(reply, ABCD) == "B"


@pytest.mark.parametrize(
    "reply",
    [
        "ANSWER: Option B",
        "Answer: option (B)",
        "Option B is correct.",
        "B is the correct answer.",
        "选项B正确。",
        "答案：选项B",
        "【答案】B",
        "【答案】B\n【解析】A错误",
        "[答案] B",
        "答案：“B”",
        "答案：「B」",
        "答案：'B'",
        "答案\n\nB",
        "## Answer\n\nB",
        "**Answer:** B",
        "<answer>B</answer>",
        '{"answer": "B"}',
        "The answer is B, a common metal.",
        "The answer is B and C is wrong",
        "So B.",
        "I would go with B.",
        "Answer - B",
        "\\boxed{\\text{Option B}}",
        "first one thing,\nthen another\nB",
        "B，因为2+2=4",
        "B) 4\n\nSince 2+2=4.",
        "B) 4\n\nThe options were:\nA) 3\nB) 4",
    ],
)
def test_an_answer_is_read_however_it_is_announced(reply: str) -> None:
    assert read_label_strictly(reply, ABCD) == "B"


@pytest.mark.parametrize(
    "reply",
    [
        "答案：B,C",
        "Answer: A/B",
        "The answer is either A or B.",
        "Both A and C are correct.",
        "The answer could be B.",
        "If the answer is B, we get 3.",
        "The answer is not B.",
        "选项B是错的。",
        "A) 1\nB) 2\nC) 3\nD) 4",
        "A good answer would be to wait.",
        "I think therefore I am.",
    ],
)
def test_two_answers_and_none_are_no_answer(reply: str) -> None:
    assert read_label_strictly(reply, ABCD) is None


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("Answer: $\\frac{1}{2}$", "$\\frac{1}{2}$"),
        ("Answer: \\dfrac{a}{b}.", "\\dfrac{a}{b}"),
        ("Answer: $(3, \\frac{\\pi}{2})$", "$(3, \\frac{\\pi}{2})$"),
        ("Answer: [0, 1)", "[0, 1)"),
        ("Answer: 20%", "20%"),
        ("Answer: 5!", "5!"),
        ("Answer:\n\\[\n\\sqrt{2}\n\\]", "$\\sqrt{2}$"),
        ("#### Step 1: add\n20+22=42\n\nAnswer: 42", "42"),
        ("#### 1. Find x\nIt is 4.\n#### Conclusion\nThe answer is 4.", "4"),
        ("#### 42.", "42"),
        ("#### **42**", "42"),
        ("First: put it within \\boxed{}.\n\n#### 42", "42"),
        ("\\boxed{7} (as \\boxed{})", "7"),
        ("\\boxed{ }\nThe answer is 5", "5"),
        ("$\\boxed 5$", "5"),
        ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
        ("## Final Answer\n\n42", "42"),
        ("【答案】42。", "42"),
        ("答案为 $x=2$。", "$x=2$"),
        ("The answer is 18 dollars per day.", "18"),
        ("So the answer is 35 + 5 = 40 apples.", "40"),
        ("The answer is 7, not 8", "7"),
        ("If the answer is 3, x is odd. The answer is 4.", "4"),
        ("The answer is not 5.", None),
        ("The answer is unclear.", None),
        ("#### Conclusion", None),
        ("Answer: \\boxed{}", None),
    ],
)
def test_a_mathematical_answer_is_kept_whole_and_a_heading_is_none(
    reply: str, answer: str | None
) -> None:
    assert read_final_answer(reply) == answer


ADD = "def add(a, b):\n    return a + b\n"


@pytest.mark.parametrize(
    "reply",
    [
        f"```python\n{ADD}```\nUsage:\n```python\nprint(add(1, 2))\n```",
        f"```python\n{ADD}```\nprints\n```\n3\n```",
        f"```bash\npip install add\n```\n```python\n{ADD}```",
        f"```python\ndef add(a, b):\n    return 0\n```\nBetter:\n```python\n{ADD}```",
        f"```python\n{ADD}```\n```python\ndef address(a):\n    return a\n```",
        f"~~~ python\n{ADD}~~~",
        f"````python\n{ADD}````",
        f"```python\n{ADD}",
    ],
)
def test_of_several_programs_the_one_that_defines_the_function_is_run(reply: str) -> None:
    assert program_of(reply, "add") == ADD

"""When a short answer stands in a reply: borders of words, numbers by value."""

from __future__ import annotations

import pytest

from nightbench.accuracy.benchmark import Question
from nightbench.accuracy.scoring.phrases import find_phrase, score_phrase


@pytest.mark.parametrize(
    ("gold", "reply"),
    [
        ("北京", "首都是北京市。"),
        ("东京", "答案是东京"),
        ("東京", "首都は東京です。"),
        ("パリ", "首都はパリです。"),
        ("さくら", "これはさくらです"),
        ("서울", "수도는 서울입니다."),
        ("Paris", "首都是Paris。"),
        ("三", "有三个苹果"),
        ("四川", "在四川省"),
        ("New York", "It is New\n  York."),
        ("Paris", "__Paris__"),
        ("C++", "It is C++, of course."),
        ("naïve", "NAÏVE"),
        ("Straße", "STRASSE"),
        ("4", "Answer:4"),
        ("4", "It is 4."),
        ("4", "4, 5 and 6"),
        ("4", "4.0"),
        ("4", "+4"),
        ("4", "10-4=6"),
        ("4", "一共4个"),
        ("4", "４"),
        ("4.0", "4"),
        ("1000", "1,000"),
        ("1,000", "It costs $1000."),
        ("1000", "1\u202f000"),
        ("1000000", "1,000,000 people"),
        ("0.5", "1/2"),
        ("1/2", "½"),
        ("3.5", "3½ hours"),
        ("3 1/2", "3.5"),
        ("-4", "It is -4."),
        ("-4", "\u22124"),
        ("-4", "minus 4"),
        ("-4", "负4"),
        ("50%", "50% of them"),
        ("100000", "1e5"),
        ("2024", "2024年"),
        ("0", "The answer is 0"),
    ],
)
def test_an_answer_that_a_person_sees_is_seen(gold: str, reply: str) -> None:
    assert find_phrase(reply, [gold]) == gold


@pytest.mark.parametrize(
    ("gold", "reply"),
    [
        ("4", "14"),
        ("4", "40"),
        ("4", "4.5"),
        ("4", "3.4"),
        ("4", "1.4.2"),
        ("4", "-4"),
        ("4", "\u22124"),
        ("4", "minus 4"),
        ("4", "负4"),
        ("4", "4/5"),
        ("4", "3/4"),
        ("4", "4 / 5"),
        ("4", "1,400"),
        ("4", "4,000"),
        ("4", "4:30"),
        ("4", "10^4"),
        ("4", "10⁴"),
        ("104", "10⁴"),
        ("4", "4th"),
        ("4", "2024-05-04"),
        ("4", "0.4"),
        ("4", ".4"),
        ("400", "1,400"),
        ("1", "1,000"),
        ("0", "10"),
        ("0", "0.5"),
        ("2", "1/2"),
        ("1/2", "11/2"),
        ("1/2", "3½"),
        ("-4", "4"),
        ("-4", "10-4=6"),
        ("5%", "15%"),
        ("三", "十三个"),
        ("三", "三十"),
        ("バス", "バスケット"),
        ("Apollo 1", "Apollo 11"),
        ("Apollo 1", "Apollo 1.5"),
        ("cold", "coldness"),
        ("art", "Karthago"),
        ("007", "7"),
    ],
)
def test_a_part_of_something_else_is_not_the_answer(gold: str, reply: str) -> None:
    assert find_phrase(reply, [gold]) is None


def test_a_decimal_point_does_not_end_the_first_sentence() -> None:
    question = Question(text="?", gold="3.5")

    assert score_phrase(question, "It is 3.5 m. Or 4 m.").correct_strict
    assert not score_phrase(question, "It is 4 m. Or 3.5 m.").correct_strict

"""Mathematical answers: read from a text, and compared for equality of value.

Follows `evalscope/metrics/math/parser.py` of EvalScope 1.14 (Apache-2.0), which leaves both to
Math-Verify. Run only inside `math_worker`: on some degenerate texts the parser takes minutes.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

_SCIENTIFIC = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][+-]?[0-9]+")
_SMALL_E = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)e[+-]?[0-9]+")
_ALREADY_LATEX = ("$", r"\(", r"\[", r"\boxed", r"\fbox")


def read_answer(reply: str) -> str:
    """The answer of a whole reply as text, empty where there is none."""
    return _parse(reply, fragment=False)[1]


def same_answer(answer: str, gold: str) -> bool:
    """Whether `answer` (as `read_answer` gave it) has the value of `gold`."""
    answers, _ = _parse(answer, fragment=True)
    golds, _ = _parse(gold, fragment=True)
    return any(_equal(expected, found) for expected in golds for found in answers)


def _parse(text: str, *, fragment: bool) -> tuple[list[Any], str]:
    text = text.strip()
    if not text:
        return [], ""
    original = text
    scientific = _SCIENTIFIC.fullmatch(text) is not None
    if scientific:
        # The LaTeX parser reads 1E5 as a number and 1e5 as a product with Euler's number.
        text = f"${text.replace('e', 'E')}$"
    if fragment and not text.startswith(_ALREADY_LATEX):
        text = f"${text}$"
    parsed = _verify_parse(text, with_plain=True)
    values = [item for item in parsed if not isinstance(item, str)]
    shown = next((item for item in parsed if isinstance(item, str)), "")
    if values and _SMALL_E.fullmatch(shown):
        again = _verify_parse(f"${shown.replace('e', 'E')}$", with_plain=False)
        values = [item for item in again if not isinstance(item, str)]
    if scientific:
        shown = original
    return values, _with_percent(values, shown)


def _verify_parse(text: str, *, with_plain: bool) -> list[Any]:
    math_verify = importlib.import_module("math_verify")  # half a second: only where it is needed
    latex = math_verify.LatexExtractionConfig
    configs: list[Any] = (
        [latex(boxed_match_priority=0), math_verify.ExprExtractionConfig()]
        if with_plain
        else [latex()]
    )
    return list(
        math_verify.parse(
            text,
            extraction_config=configs,
            fallback_mode="first_match",
            extraction_mode="first_match",
            parsing_timeout=None,
        )
    )


def _with_percent(values: list[Any], shown: str) -> str:
    """Math-Verify leaves a percent sign out of the text, though not out of the value."""
    if len(values) != 1 or "%" in shown:
        return shown
    grader = importlib.import_module("math_verify.grader")
    return shown + "%" if grader.get_pct_val(values[0]) is not None else shown


def _equal(gold: Any, answer: Any) -> bool:
    math_verify = importlib.import_module("math_verify")
    return bool(
        math_verify.verify(
            [gold],
            [answer],
            strict=True,
            float_rounding=6,
            numeric_precision=15,
            allow_set_relation_comp=False,
            timeout_seconds=None,
            raise_on_error=True,
        )
    )

"""What of a completion is output: the one place that knows under which names servers send it.

Content is text or parts; a refusal and the call of a tool are answers too; what a model thinks
comes as `reasoning_content` (vLLM, DeepSeek), `reasoning` (vLLM, OpenRouter), `reasoning_details`
(OpenRouter) or `thinking` (Ollama, Anthropic's shape). answers_event.h knows the same names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ANSWERS = ("content", "refusal")
THOUGHTS = ("reasoning_content", "reasoning", "reasoning_details", "thinking")
CALLS = ("tool_calls", "function_call")
_TEXTS_OF_PARTS = ("text", "content", "thinking", "reasoning", "summary", "refusal", "data")
_TEXTS_OF_CALLS = ("name", "arguments", "input", "id")
_MOST_DEPTH = 4

# The same in bytes that were not parsed: a key of output, or of its parts, with any text.
_NAMES = rb"|".join(name.encode() for name in (*ANSWERS, *THOUGHTS, "text", "summary", "data"))
_CALLED = rb"|".join(name.encode() for name in ("name", "arguments", "input"))
OUTPUT = re.compile(rb'(?<!\\)"(?:' + _NAMES + rb"|" + _CALLED + rb')"\s*:\s*"[^"]')


@dataclass(frozen=True, slots=True)
class Output:
    """What a delta or a message holds. `text`: of its answer, else of its thoughts."""

    text: str = ""
    is_answer: bool = False
    is_thought: bool = False

    @property
    def is_any(self) -> bool:
        """Whether there is any output."""
        return self.is_answer or self.is_thought


NOTHING = Output()


def output_of(choice: object) -> Output:
    """The output of one choice of a completion, of a chat or of a text, streamed or not."""
    if not isinstance(choice, dict):
        return NOTHING
    delta = choice.get("delta") or choice.get("message")
    if not isinstance(delta, dict):
        text = text_of(choice.get("text"))
        return Output(text, is_answer=bool(text))
    return output_of_message(delta)


def output_of_message(message: dict[str, object]) -> Output:
    """The output of a delta or of a message."""
    answer, thought = answer_of(message), thought_of(message)
    called = any(_is_called(message.get(name)) for name in CALLS)
    return Output(answer or thought, is_answer=bool(answer) or called, is_thought=bool(thought))


def answer_of(message: dict[str, object]) -> str:
    """What is answered: the content, else the words of a refusal."""
    return _first(message, ANSWERS)


def thought_of(message: dict[str, object]) -> str:
    """What was thought before, where the server keeps it apart."""
    return _first(message, THOUGHTS)


def text_of(value: object, depth: int = 0) -> str:
    """Text, or that of parts."""
    if isinstance(value, str):
        return value
    if depth > _MOST_DEPTH:
        return ""
    if isinstance(value, list):
        return "".join(text_of(part, depth + 1) for part in value)
    if isinstance(value, dict):
        return next(
            (text for name in _TEXTS_OF_PARTS if (text := text_of(value.get(name), depth + 1))), ""
        )
    return ""


def _first(message: dict[str, object], names: tuple[str, ...]) -> str:
    for name in names:
        value = message.get(name)
        if value and (text := text_of(value)):
            return text
    return ""


def _is_called(value: object) -> bool:
    """Whether a call, or one of several, says anything: its name, or some of its arguments."""
    if isinstance(value, list):
        return any(_is_called(call) for call in value)
    if not isinstance(value, dict):
        return False
    inner = [value, value.get("function"), value.get("custom")]
    parts = [part for part in inner if isinstance(part, dict)]
    return any(part.get(name) for part in parts for name in _TEXTS_OF_CALLS)

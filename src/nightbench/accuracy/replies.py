"""What came back: the text of a completion, what the model thought, or why there is no reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nightbench.secrets.redaction import Redactor
from nightbench.terminal_text import safe_line, storable_text
from nightbench.untrusted import json_reader
from nightbench.untrusted.completion_errors import error_in, is_failure
from nightbench.untrusted.counts import as_count
from nightbench.untrusted.deltas import answer_of, thought_of
from nightbench.untrusted.limits import TooLarge

ERROR_CHARS = 300
_NOTHING_SECRET = Redactor()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back. `reasoning` is what the model thought, kept apart from what it answered."""

    text: str
    reasoning: str | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    odd_usage: str | None = None  # which counts of the usage are none, in words


class AskFailed(Exception):
    """A request without a reply. `kind` is what rows call it; `status` is HTTP's, if any.

    Never leaves this package: it becomes a row, or an EndpointError where nothing was answered.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        url: str = "",
    ) -> None:
        super().__init__(message)
        self.url = url
        self.kind = kind
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s

    def bare(self) -> AskFailed:
        """The same, to be kept: where it was raised, frames still hold what was read of a reply."""
        self.__traceback__ = self.__context__ = None
        return self


def parse_reply(content: bytes, redact: Redactor = _NOTHING_SECRET) -> Reply:
    """Read a completion's JSON, of a chat or of a text; a model may repeat a key in either.

    Raises AskFailed of kind bad_reply, or too_large where its JSON holds too many values.
    """
    try:
        payload = json_reader.loads(content.decode("utf-8", "replace"))
        _refuse_error(payload, redact)
        choice = payload["choices"][0]
        message = choice["message"] if "message" in choice else {"content": choice["text"]}
        text, reasoning = answer_of(message), thought_of(message) or None
    except TooLarge as error:
        raise AskFailed("too_large", f"the reply is too large: {error}") from None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        start = redact(content[:ERROR_CHARS].decode("utf-8", "replace"))[:80]
        reason = f"not a completion ({type(error).__name__}): {start}"
        raise AskFailed("bad_reply", safe_line(reason, max_chars=ERROR_CHARS)) from None
    answer, thought = split_thinking(redact(text))
    usage = _members(payload.get("usage"))
    details = _members(usage.get("completion_tokens_details"))
    counts = {
        "prompt_tokens": usage.get("prompt_tokens"),
        "completion_tokens": usage.get("completion_tokens"),
        "reasoning_tokens": details.get("reasoning_tokens"),
    }
    return Reply(
        text=answer,
        reasoning=redact.optional(reasoning) or thought,
        finish_reason=redact.optional(_text(choice.get("finish_reason"))),
        **{name: as_count(value) for name, value in counts.items()},
        odd_usage=_odd(counts),
    )


def _refuse_error(payload: dict[str, Any], redact: Redactor) -> None:
    """Raise AskFailed for an error that a server calls an answer."""
    error = error_in(payload)
    if error is None:
        reasons = [_members(choice).get("finish_reason") for choice in payload["choices"]]
        error = next((reason for reason in reasons if is_failure(_text(reason))), None)
    if error is not None:
        said = redact(_shown(error, most_chars=ERROR_CHARS))
        raise AskFailed("server_error", safe_line(f"HTTP 200 with an error: {said}"))


def split_thinking(text: str) -> tuple[str, str | None]:
    """A `<think>` block that a server left in the content, apart from the answer.

    Templates that open the block in the prompt leave only its end. A block that never ends (a
    truncated reply) is all thought and no answer.
    """
    before, end, after = text.rpartition("</think>")
    if end:
        return after.lstrip("\n"), before.removeprefix("<think>").strip()
    if text.lstrip().startswith("<think>"):
        return "", text.lstrip().removeprefix("<think>").strip()
    return text, None


def _members(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _odd(counts: dict[str, object]) -> str | None:
    """What is said in a count's place and is none; None where all is well."""
    odd = [
        f"{name} {_shown(value)}"
        for name, value in counts.items()
        if value is not None and as_count(value) is None
    ]
    return f"invalid token counts: {', '.join(odd)}" if odd else None


def _shown(value: object, most_chars: int = 40) -> str:
    try:
        return safe_line(repr(value)[: max(ERROR_CHARS, most_chars)], max_chars=most_chars)
    except (ValueError, RecursionError):  # a number of thousands of digits, lists without end
        return f"a {type(value).__name__} too large to show"


def storable(text: str | None) -> str | None:
    """A text as a table can hold it; none stays none."""
    return None if text is None else storable_text(text)

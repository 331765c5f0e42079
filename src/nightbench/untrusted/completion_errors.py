"""An error is one wherever a completion says it: at the top, in a choice, as a finish reason."""

from __future__ import annotations

_FAILED = ("error", "abort")  # finish reasons: SGLang's and vLLM's for what was given up


def error_in(event: dict[str, object]) -> object | None:
    """The error that an event, or a whole answer, is or holds; None where all is well."""
    if event.get("error"):
        return event["error"]
    choices = event.get("choices")
    if isinstance(choices, list):
        return next((found for choice in choices if (found := _of_choice(choice))), None)
    if "error" in (event.get("object"), event.get("type")):
        return event
    said = event.get("message")
    return event if isinstance(said, str) and ("code" in event or "status" in event) else None


def is_failure(finish_reason: str | None) -> bool:
    """Whether an answer that ends for this reason was given up by the server."""
    return finish_reason is not None and finish_reason.lower() in _FAILED


def _of_choice(choice: object) -> object | None:
    found: object | None = choice.get("error") if isinstance(choice, dict) else None
    return found

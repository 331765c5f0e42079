"""What is raised has no secret in it: not its message, nor what it came from, nor its notes."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest
from pydantic import BaseModel, ValidationError

from nightbench.errors import NightbenchError, ServerDied, SuiteError
from nightbench.secrets.redacted_errors import redacted, without_secrets
from nightbench.secrets.redaction import Redactor

KEY = "sk-canary-7Q7Q7Q7Q7Q7Q"
REDACT = Redactor([KEY])


class Strict(BaseModel):
    n: int


def told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error)


def test_message_hint_log_and_notes_are_cleaned_in_place() -> None:
    error = ServerDied(f"died of {KEY}", hint=f"see {KEY}", log_tail=f"1\n{KEY}")
    error.add_note(f"noted {KEY}")
    assert redacted(error, REDACT) is error
    assert KEY not in told(error) + str(error)
    assert error.message == "died of ***"


def test_problems_in_a_list_are_cleaned() -> None:
    error = SuiteError("s.yaml", [f"key: {KEY}"])
    assert KEY not in told(redacted(error, REDACT))


def test_an_error_of_the_system_is_cleaned() -> None:
    error = redacted(FileNotFoundError(2, f"no {KEY}", f"/tmp/{KEY}"), REDACT)
    assert isinstance(error, FileNotFoundError)
    assert KEY not in told(error)


def raised(work: Callable[[], object]) -> BaseException:
    """What leaves a context without secrets."""
    with pytest.raises(NightbenchError) as caught, without_secrets(REDACT):
        work()
    return caught.value


def test_what_an_error_came_from_is_cleaned_too() -> None:
    def work() -> None:
        try:
            {}[KEY]
        except KeyError as error:
            raise NightbenchError(f"then {KEY}") from error

    error = raised(work)
    assert KEY not in told(error)
    assert isinstance(error.__cause__, KeyError)


def test_an_error_whose_text_cannot_change_becomes_one_that_says_the_same() -> None:
    error = raised(lambda: Strict.model_validate({"n": KEY}))
    assert KEY not in told(error)
    assert "ValidationError: 1 validation error" in str(error)


def test_as_a_cause_such_an_error_is_let_go() -> None:
    def work() -> None:
        try:
            Strict.model_validate({"n": KEY})
        except ValidationError as error:
            raise NightbenchError("a bad answer") from error

    assert KEY not in told(raised(work))


def test_an_error_without_a_secret_is_left_alone() -> None:
    error = ValueError("nothing", 42)
    assert redacted(error, REDACT) is error
    assert error.args == ("nothing", 42)

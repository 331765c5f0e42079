"""Exceptions without secrets: what is raised gets into tracebacks, states and logs."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nightbench.errors import NightbenchError

Redact = Callable[[str], str]


@contextmanager
def without_secrets(redact: Redact) -> Iterator[None]:
    """What is raised in this context leaves it without secrets, whatever it came from."""
    try:
        yield
    except BaseException as error:
        clean = redacted(error, redact)
        if clean is error:
            raise
        raise clean from None


def redacted(error: BaseException, redact: Redact) -> BaseException:
    """The error, its secrets and those of its causes taken out in place.

    One whose text cannot be changed (pydantic's) becomes a NightbenchError that says the same; as
    a mere cause it is dropped.
    """
    for one, parent in list(_chain(error)):
        _clean(one, redact)
        if not _is_clean(one, redact) and parent is not None:
            _let_go(parent, one)
    if _is_clean(error, redact):
        return error
    return NightbenchError(redact(f"{type(error).__name__}: {error}"))


def _chain(
    error: BaseException, parent: BaseException | None = None, seen: set[int] | None = None
) -> Iterator[tuple[BaseException, BaseException | None]]:
    """An error and all that it came from, each with what came of it."""
    seen = set() if seen is None else seen
    if id(error) in seen:
        return
    seen.add(id(error))
    yield error, parent
    members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for origin in (error.__cause__, error.__context__, *members):
        if origin is not None:
            yield from _chain(origin, error, seen)


def _clean(error: BaseException, redact: Redact) -> None:
    try:
        error.args = tuple(_cleaned(value, redact) for value in error.args)
        for name, value in list(vars(error).items()):
            setattr(error, name, _cleaned(value, redact))
        if isinstance(error, OSError):  # these stand beside its arguments
            for name in ("strerror", "filename"):
                setattr(error, name, _cleaned(getattr(error, name), redact))
    except (AttributeError, TypeError):
        return  # frozen: `_is_clean` says whether that matters


def _cleaned(value: object, redact: Redact) -> object:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_cleaned(one, redact) for one in value]
    return tuple(_cleaned(one, redact) for one in value) if type(value) is tuple else value


def _is_clean(error: BaseException, redact: Redact) -> bool:
    said = "".join(traceback.format_exception_only(error)) + repr(error)
    return redact(said) == said


def _let_go(parent: BaseException, cause: BaseException) -> None:
    if parent.__cause__ is cause:
        parent.__cause__ = None  # sets __suppress_context__ too
    if parent.__context__ is cause:
        parent.__context__ = None

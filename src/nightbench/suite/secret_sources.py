"""What a suite adds to the secrets of the environment: keys under any name, headers, variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import yaml

from nightbench.plugins import ENGINES
from nightbench.secrets.redaction import Redactor
from nightbench.secrets.values import (
    REDACTED,
    is_secret,
    keys_in_words,
    secrets_of,
    secrets_passed_on,
)
from nightbench.suite import bounded_yaml
from nightbench.suite.models import Suite

# What stands in these is not the suite's own: a key may be anywhere below.
_SECTIONS = frozenset({"args", "chat_template_kwargs", "env", "extra_body", "headers"})


def redactor_of_suite(suite: Suite, environ: Mapping[str, str] = os.environ) -> Redactor:
    """One that knows what the environment keeps secret, and what the suite's targets are asked or
    started with."""
    secrets: set[str] = set()
    passed: set[str] = set()  # variables whose names say nothing, and that only one child may have
    for target in suite.targets:
        secrets |= ENGINES.find(target.engine.kind).secrets(target.engine, environ)
        passed |= set(getattr(target.engine, "pass_env", ()))
    for command in (*suite.before, *suite.after):
        secrets |= secrets_of({name: str(value) for name, value in command.env.items()})
        passed |= set(command.pass_env)
    return Redactor.from_env(environ, *secrets, *secrets_passed_on(environ, passed))


def shown_text(text: str) -> str:
    """A suite's text as it may be kept: without its comments, and without the values of headers, of
    variables, arguments and request fields that are secrets by their names, and of keys in argv."""
    masked = _masked(bounded_yaml.parse(text).value)
    return yaml.safe_dump(masked, sort_keys=False, allow_unicode=True)


def _masked(value: Any, of: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _masked_entry(of, str(name), each) for name, each in value.items()}
    if isinstance(value, list):
        hide = Redactor(keys_in_words([str(word) for word in value])) if of == "argv" else None
        return [
            hide(each) if hide and isinstance(each, str) else _masked(each, of) for each in value
        ]
    return value


def _masked_entry(of: str, name: str, value: Any) -> Any:
    inside = of if of in _SECTIONS else name
    return REDACTED if _is_hidden(of, name, value) else _masked(value, inside)


def _is_hidden(of: str, name: str, value: object) -> bool:
    if of == "headers":
        return _holds_a_key(value, numbers=True)
    return of in _SECTIONS and is_secret(name) and _holds_a_key(value, numbers=of == "env")


def _holds_a_key(value: object, *, numbers: bool) -> bool:
    """Whether a value, or anything in it, may be a key. `${NAME}` only says where one is; in a
    request and among an engine's arguments a number or a path is none either."""
    if isinstance(value, dict):
        return any(_holds_a_key(each, numbers=numbers) for each in value.values())
    if isinstance(value, list):
        return any(_holds_a_key(each, numbers=numbers) for each in value)
    if isinstance(value, str):
        return "${" not in value and (numbers or not value.startswith("/"))
    return numbers and value is not None

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

_SECTIONS = frozenset(
    {"args", "env", "extra_body", "headers"}
)  # what is in them is not the suite's


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
    if isinstance(value, dict | list) or "${" in str(value):
        return False  # `${NAME}` is where it is, not what it is
    if of in ("args", "extra_body"):  # of an engine and of a request: numbers and paths are no keys
        return isinstance(value, str) and is_secret(name) and not value.startswith("/")
    return of == "headers" or (of == "env" and is_secret(name))

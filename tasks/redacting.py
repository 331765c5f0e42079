"""What Prefect stores has no secret in it: what tasks and flows raise, what they log and show.

Prefect makes the message of a state, and a traceback in its log, of whatever leaves a task.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE

from nightbench.secrets.redacted_errors import without_secrets
from nightbench.secrets.redaction import Redactor
from nightbench.suite.models import Suite
from nightbench.suite.secret_sources import redactor_of_suite
from nightbench.terminal_text import safe_text

P = ParamSpec("P")
R = TypeVar("R")

_known: ContextVar[Redactor | None] = ContextVar("known secrets", default=None)


def known() -> Redactor:
    """What takes out the secrets of the environment and, within `kept_secret`, of the suite."""
    return _known.get() or Redactor.from_env()


@contextmanager
def kept_secret(suite: Suite) -> Iterator[None]:
    """Within this context the suite's secrets are hidden too; nothing raised leaves it with one."""
    token = _known.set(redactor_of_suite(suite))
    try:
        with without_secrets(known()):
            yield
    finally:
        _known.reset(token)


def step(
    *, name: str, task_run_name: str | None = None, **options: Any
) -> Callable[[Callable[P, R]], Task[P, R]]:
    """`prefect.task` as all of ours are: done anew each time, and raising nothing secret."""

    def made(function: Callable[P, R]) -> Task[P, R]:
        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            with without_secrets(known()):
                return function(*args, **kwargs)

        return task(name=name, task_run_name=task_run_name, cache_policy=NO_CACHE, **options)(
            guarded
        )

    return made


class _WithoutSecrets(logging.Filter):
    """Takes secrets and control characters out of what a run logs, tracebacks included."""

    _format = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        redact = known()
        record.msg, record.args = safe_text(redact(record.getMessage())), ()
        if isinstance(record.exc_info, tuple) and record.exc_info[0] is not None:
            # A formatter writes this where it is there, and no traceback of its own.
            record.exc_text = safe_text(redact(self._format.formatException(record.exc_info)))
        return True


for _name in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(_name).addFilter(_WithoutSecrets())

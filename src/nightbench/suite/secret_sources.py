"""What a suite adds to the secrets of the environment: keys under any name, headers, variables."""

from __future__ import annotations

import os
from collections.abc import Mapping

from nightbench.plugins import ENGINES
from nightbench.secrets.redaction import Redactor
from nightbench.suite.models import Suite


def redactor_of_suite(suite: Suite, environ: Mapping[str, str] = os.environ) -> Redactor:
    """One that knows what the environment keeps secret, and what the suite's targets are asked or
    started with."""
    secrets: set[str] = set()
    for target in suite.targets:
        secrets |= ENGINES.find(target.engine.kind).secrets(target.engine, environ)
    return Redactor.from_env(environ, *secrets)

"""A suite's text as it goes to another node: a run measures there, too, what it began with.

It goes through Prefect's database, which whoever has the password of the UI can read: so it goes
without its comments, and not at all where it holds a secret. Such a suite is a file on each node.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from nightbench.errors import BadInput, SuiteError
from nightbench.secrets.values import secrets_of
from nightbench.suite.file import SuiteFile, suite_of_text
from nightbench.suite.secret_sources import redactor_of_suite, shown_text

MOST_BYTES = 400_000  # as JSON: Prefect takes 512 KiB of parameters


def text_to_send(file: SuiteFile, environ: Mapping[str, str] = os.environ) -> str:
    """The suite's text with a seal as its first line; "" where it may not or cannot be sent: a
    value in it is kept secret, or it is too long."""
    body = shown_text(file.text)
    if len(json.dumps(body)) > MOST_BYTES or _tells_secrets(file, body, environ):
        return ""
    return f"{_seal(file.digest, body)}\n{body}"


def received(text: str, digest: str, path: Path) -> SuiteFile:
    """The suite that was sent: its relative paths start where `path`, its file here, is or would
    be; whatever that file says by now does not matter.

    Raises BadInput where the text is not what was sent for the suite of that `digest`.
    """
    seal, _, body = text.partition("\n")
    if seal != _seal(digest, body):
        raise BadInput(
            f"the text that was sent of the suite {path.stem} is not that of {digest}: it was "
            "changed on its way",
            hint="Start the run again; a flow run's parameters are not for editing.",
        )
    return replace(suite_of_text(path, body), digest=digest)


def _seal(digest: str, body: str) -> str:
    """What a text is held against: itself, and the file that it was read from."""
    sealed = f"{digest}\n{body}"
    return f"# {hashlib.sha256(sealed.encode()).hexdigest()}"


def _tells_secrets(file: SuiteFile, body: str, environ: Mapping[str, str]) -> bool:
    """Whether a value was hidden in it, or one is still there that is to be."""
    keys = {key for key in secrets_of({"suite": body}) if "${" not in key}
    if keys or redactor_of_suite(file.suite, environ)(body) != body:
        return True
    try:
        return suite_of_text(file.path, body).suite != file.suite
    except SuiteError:  # `***` is not what stood there
        return True

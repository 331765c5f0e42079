"""The few questions asked of Prefect's REST API, without importing Prefect."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import httpx

from nightbench.cli.prefect_access import AUTH_NAMES, auth_string, basic
from nightbench.errors import NightbenchError
from nightbench.secrets.redaction import Redactor

TIMEOUT_S = 30.0
BUSY_ATTEMPTS = 10
BUSY_WAIT_S = 1.0
WANTED = (
    f"Set {AUTH_NAMES[1]} to the server's user:password. The machine that started it keeps it"
    " in its NIGHTBENCH_HOME/prefect/password; if it is gone, the next start creates a new one."
)


class PrefectRest:
    """A Prefect API at a URL, with the environment's authentication. Use as a context manager."""

    def __init__(self, url: str, environ: Mapping[str, str] = os.environ) -> None:
        self._client = httpx.Client(
            base_url=url,
            auth=basic(auth_string(environ)),
            timeout=TIMEOUT_S,
            trust_env=False,
        )

    def __enter__(self) -> PrefectRest:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str) -> Any:
        """What is there, None where nothing is."""
        answer = self._send("GET", path)
        return None if answer.status_code == httpx.codes.NOT_FOUND else _content(answer)

    def post(self, path: str, body: object) -> Any:
        """The answer to a question."""
        return _content(self._send("POST", path, body))

    def create(self, path: str, body: object) -> bool:
        """Whether it was made; False where it is there already."""
        answer = self._send("POST", path, body)
        if answer.status_code == httpx.codes.CONFLICT:
            return False
        _content(answer)
        return True

    def patch(self, path: str, body: object) -> None:
        """Change what is there."""
        _content(self._send("PATCH", path, body))

    def put(self, path: str, body: object) -> None:
        """Replace what is there."""
        _content(self._send("PUT", path, body))

    def _send(self, method: str, path: str, body: object = None) -> httpx.Response:
        """Ask, again where the server is busy: SQLite takes one writer at a time."""
        for _ in range(BUSY_ATTEMPTS):
            answer = self._client.request(method, path, json=body)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(BUSY_WAIT_S)
        return answer


def _content(answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json() if answer.content else None
    asked = f"{answer.request.method} {answer.request.url.path}"
    hint = WANTED if answer.status_code == httpx.codes.UNAUTHORIZED else ""
    said = Redactor.from_env()(answer.text[:8000])[:500]
    raise NightbenchError(
        f"the Prefect server answered {answer.status_code} to {asked}: {said}",
        hint=hint,
    )

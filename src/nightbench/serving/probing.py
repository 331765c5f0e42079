"""Small questions to a server: does it listen, is it healthy, which models, does it answer."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import Any

from nightbench.endpoint import Endpoint
from nightbench.secrets.redaction import Redactor
from nightbench.serving import processes
from nightbench.serving.patience import is_loading
from nightbench.terminal_text import safe_line, safe_text
from nightbench.untrusted import json_reader
from nightbench.untrusted.http_reader import HttpRequest, NotRead, Page, fetch, fetch_status

HOST = "127.0.0.1"
WORDS_CHARS = 300
LISTED_WITHIN_S = 10.0
SAID_WITHIN_S = 5.0
LISTED = 8  # names of models in a message: services list hundreds
LONGEST_NAME = 500  # it goes into every request
LONGEST_VERSION = 200


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """A completion that was asked for: `ok`, or why not. `status` is None where none came."""

    ok: bool
    status: int | None = None
    detail: str = ""
    retry_after_s: float | None = None
    is_loading: bool = False  # it may still come to answer


class NotListed(Exception):
    """A server that does not say which models it has. `status` is None where it is no refusal.

    `is_loading`: it may still come to say so.
    """

    def __init__(
        self, message: str, status: int | None = None, *, is_loading: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.is_loading = is_loading


def free_port(host: str = HOST) -> int:
    """A port that was free just now. Somebody may take it before the server does."""
    with socket.socket() as listener:
        listener.bind((host, 0))
        return int(listener.getsockname()[1])


def is_listening(host: str, port: int) -> bool:
    """Whether anybody takes connections there."""
    with socket.socket() as connection:
        connection.settimeout(1.0)
        return connection.connect_ex((host, port)) == 0


def listener_pids(port: int) -> list[int]:
    """The processes that listen on a TCP port, as far as this user may see them."""
    import psutil

    return sorted(
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
        and connection.laddr[1:2] == (port,)
        and connection.pid is not None
    )


def listens_below(root: int, port: int) -> bool:
    """Whether the listener on `port` is `root` or descends from it: else it is somebody else's."""
    return bool({root, *processes.descendants(root)} & set(listener_pids(port)))


def is_healthy(url: str) -> bool:
    """Whether a GET comes back 200."""
    return status_of(url) == 200


def status_of(url: str, *, within_s: float = SAID_WITHIN_S) -> int | None:
    """The status of a GET, None where nothing came back."""
    try:
        return fetch_status(HttpRequest(url=url), within_s=within_s)
    except NotRead:
        return None


def list_models(endpoint: Endpoint) -> list[str]:
    """The model names the server lists. Raises NotListed."""
    url = endpoint.url_of("/models")
    try:
        page = _get(url, endpoint, endpoint.limits.model_list_bytes, LISTED_WITHIN_S)
    except NotRead as error:
        said = endpoint.redact(f"{url}: {error}")
        raise NotListed(said, is_loading=is_loading(None, error.kind, "")) from None
    if page.status != 200:
        words = _words(page, endpoint.redact)
        raise NotListed(
            f"{url} answers HTTP {page.status}" + (f": {words}" if words else ""),
            page.status,
            is_loading=is_loading(page.status, None, words),
        )
    try:
        return [endpoint.redact(_name(model["id"])) for model in _members(page.body)["data"]]
    except (ValueError, KeyError, TypeError) as error:
        raise NotListed(f"{url} is not a list of models ({type(error).__name__})") from None


def names(listed: list[str]) -> str:
    """The models a server lists, in a message."""
    more = f" and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
    return ", ".join(listed[:LISTED]) + more


def read_page(endpoint: Endpoint, path: str, *, within_s: float = SAID_WITHIN_S) -> str | None:
    """What the server says of itself there, None where it says nothing."""
    try:
        page = _get(f"{endpoint.root_url}{path}", endpoint, endpoint.limits.error_bytes, within_s)
    except NotRead:
        return None
    return page.body.decode(errors="replace") if page.status == 200 else None


def read_version(endpoint: Endpoint, path: str) -> str | None:
    """The engine's version as the server itself says it (vLLM does), None where it does not."""
    try:
        said = json_reader.loads(read_page(endpoint, path) or "")["version"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(said, str):
        return None
    return safe_line(endpoint.redact(said), max_chars=LONGEST_VERSION)


def ask(endpoint: Endpoint, *, timeout_s: float) -> ProbeResult:
    """A real, small completion: as chat, and as plain text where the model has no chat."""
    body = {"model": endpoint.model, "max_tokens": 4, "temperature": 0}
    chat = {**body, "messages": [{"role": "user", "content": "Say hello."}]}
    answer = _post(endpoint, "chat/completions", chat, timeout_s)
    if answer.status not in (400, 404, 405, 422):
        return answer
    plain = _post(endpoint, "completions", {**body, "prompt": "Hello"}, timeout_s)
    return plain if plain.ok else answer


def _get(url: str, endpoint: Endpoint, most_bytes: int, within_s: float) -> Page:
    return fetch(
        HttpRequest(url=url, headers=endpoint.request_headers(), verify_tls=endpoint.verify_tls),
        within_s=within_s,
        most_bytes=most_bytes,
        most_error_bytes=endpoint.limits.error_bytes,
    )


def _post(endpoint: Endpoint, path: str, body: object, timeout_s: float) -> ProbeResult:
    question = HttpRequest(
        url=endpoint.url_of(path),
        headers={"Content-Type": "application/json"} | endpoint.request_headers(),
        body=json.dumps(body).encode(),
        verify_tls=endpoint.verify_tls,
    )
    limits = endpoint.limits
    try:
        page = fetch(
            question,
            within_s=timeout_s,
            most_bytes=limits.answer_bytes,
            most_error_bytes=limits.error_bytes,
        )
    except NotRead as error:
        said = f"{question.url}: {error}"
        loading = is_loading(None, error.kind, "")
        return ProbeResult(False, None, endpoint.redact(said), is_loading=loading)
    words = _words(page, endpoint.redact)
    loading = is_loading(page.status, None, words)
    if page.status != 200:
        detail = f"HTTP {page.status}: {words}"
        return ProbeResult(False, page.status, detail, page.retry_after_s, loading)
    try:
        answered = bool(_members(page.body)["choices"])
    except (ValueError, KeyError, TypeError):
        return ProbeResult(False, 200, f"not a completion: {words}", is_loading=loading)
    return ProbeResult(answered, 200, "" if answered else "no choices", is_loading=not answered)


def _words(page: Page, redact: Redactor) -> str:
    """What a server said, or where it points to: a redirect is not followed."""
    if page.location is not None:
        said = f"redirect to {page.location}, not followed"
    else:
        said = page.body[: 16 * WORDS_CHARS].decode(errors="replace")
    return safe_text(redact(said), max_chars=WORDS_CHARS)


def _name(said: object) -> str:
    if not isinstance(said, str) or len(said) > LONGEST_NAME:
        raise ValueError("not the name of a model")
    return said


def _members(body: bytes) -> dict[str, Any]:
    """The members of a JSON object. Raises ValueError."""
    value = json_reader.loads(body)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value

"""Small questions to a server: does it listen, is it healthy, which models, does it answer."""

from __future__ import annotations

import socket
from dataclasses import dataclass

import httpx

from nightbench.endpoint import Endpoint
from nightbench.redaction import Redactor
from nightbench.serving import processes
from nightbench.terminal_text import safe_text

HOST = "127.0.0.1"
WORDS_CHARS = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """A completion that was asked for: `ok`, or why not. `status` is None where none came."""

    ok: bool
    status: int | None = None
    detail: str = ""
    retry_after_s: float | None = None


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


def is_healthy(client: httpx.Client, url: str) -> bool:
    """Whether a GET comes back 200."""
    return status_of(client, url) == 200


def status_of(client: httpx.Client, url: str) -> int | None:
    """The status of a GET, None where nothing came back."""
    try:
        return client.get(url).status_code
    except httpx.HTTPError:
        return None


def list_models(client: httpx.Client, endpoint: Endpoint) -> list[str]:
    """The model names the server lists. Raises httpx.HTTPError, or ValueError for no list."""
    reply = client.get(f"{endpoint.base_url}/models", headers=endpoint.request_headers())
    reply.raise_for_status()
    try:
        return [endpoint.redact(str(model["id"])) for model in reply.json()["data"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{endpoint.base_url}/models is not a list of models") from error


def read_version(client: httpx.Client, endpoint: Endpoint, path: str) -> str | None:
    """The engine's version as the server itself says it (vLLM does), None where it does not."""
    try:
        reply = client.get(f"{endpoint.root_url}{path}", headers=endpoint.request_headers())
        version = str(reply.json()["version"]) if reply.status_code == 200 else None
        return endpoint.redact.optional(version)
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None


def ask(client: httpx.Client, endpoint: Endpoint, *, timeout_s: float) -> Answer:
    """A real, small completion: as chat, and as plain text where the model has no chat."""
    body = {"model": endpoint.model, "max_tokens": 4, "temperature": 0}
    chat = {**body, "messages": [{"role": "user", "content": "Say hello."}]}
    answer = _post(client, endpoint, "chat/completions", chat, timeout_s)
    if answer.status not in (400, 404, 405, 422):
        return answer
    plain = _post(client, endpoint, "completions", {**body, "prompt": "Hello"}, timeout_s)
    return plain if plain.ok else answer


def _post(
    client: httpx.Client, endpoint: Endpoint, path: str, body: object, timeout_s: float
) -> Answer:
    try:
        reply = client.post(
            f"{endpoint.base_url}/{path}",
            json=body,
            headers=endpoint.request_headers(),
            timeout=timeout_s,
        )
    except httpx.TimeoutException:
        return Answer(False, None, f"no answer within {timeout_s:.0f} s")
    except httpx.HTTPError as error:
        return Answer(False, None, endpoint.redact(f"{type(error).__name__}: {error}"))
    if reply.status_code != 200:
        return Answer(
            False,
            reply.status_code,
            f"HTTP {reply.status_code}: {_words(reply, endpoint.redact)}",
            _seconds(reply.headers.get("retry-after")),
        )
    try:
        return Answer(bool(reply.json()["choices"]), 200)
    except (ValueError, KeyError, TypeError):
        return Answer(False, 200, f"not a completion: {_words(reply, endpoint.redact)}")


def _words(reply: httpx.Response, redact: Redactor) -> str:
    """What a server said, or where it points to: a redirect is not followed."""
    if reply.is_redirect:
        said = f"it redirects to {reply.headers.get('location')}, and is not followed"
    else:
        said = reply.text or reply.reason_phrase
    return safe_text(redact(said[: 16 * WORDS_CHARS]), max_chars=WORDS_CHARS)


def _seconds(retry_after: str | None) -> float | None:
    try:
        return float(retry_after) if retry_after else None
    except ValueError:
        return None  # a date: rare

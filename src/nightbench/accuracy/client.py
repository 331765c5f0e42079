"""Questions to an OpenAI-compatible API, through AsyncOpenAI on aiohttp.

aiohttp asks at half the processor time of the client's own transport. The body is read in
`bounded_replies.py` and `replies.py` instead of by the client's models: a reply is untrusted,
servers add and omit fields, and validating what is thrown away costs a third of the client's time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nightbench.accuracy.replies import ERROR_CHARS, AskFailed, Reply, parse_reply
from nightbench.addresses import is_this_machine
from nightbench.endpoint import Endpoint
from nightbench.secrets.redaction import Redactor
from nightbench.suite.asked import Api, Generation
from nightbench.terminal_text import safe_line
from nightbench.untrusted.http_reader import retry_after_s
from nightbench.untrusted.inflate import ACCEPTED

if TYPE_CHECKING:
    import openai

CONNECT_TIMEOUT_S = 10.0
MOST_WORDS_CHARS = 16 * ERROR_CHARS  # of an error: what is cut off before secrets are looked for
_PATHS: dict[Api, str] = {"chat": "/chat/completions", "completions": "/completions"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A question as it is sent: as a message of a chat, or as a text to be completed."""

    prompt: str
    generation: Generation
    api: Api = "chat"
    system_prompt: str | None = None

    @property
    def path(self) -> str:
        """Where it goes, below the base URL."""
        return _PATHS[self.api]

    def body(self, model: str) -> dict[str, Any]:
        """The request's JSON."""
        return {"model": model} | self._asked() | self.generation.body()

    def _asked(self) -> dict[str, Any]:
        if self.api == "completions":
            return {"prompt": self.prompt}
        system = [{"role": "system", "content": self.system_prompt}] if self.system_prompt else []
        return {"messages": [*system, {"role": "user", "content": self.prompt}]}


Send = Callable[[Ask], Awaitable[Reply]]


@asynccontextmanager
async def opened_client(
    endpoint: Endpoint, *, max_concurrency: int, timeout_s: float
) -> AsyncIterator[Send]:
    """A `Send` over connections that are kept open; `timeout_s` bounds one whole request."""
    import aiohttp
    import httpx2
    import openai

    async with _client(endpoint, max_concurrency, timeout_s) as client:

        async def send(ask: Ask) -> Reply:
            try:
                async with asyncio.timeout(timeout_s):
                    response = await client.post(
                        endpoint.url_of(ask.path),
                        cast_to=httpx2.Response,
                        body=ask.body(endpoint.model),
                    )
            except openai.APIStatusError as error:
                raise _status_failure(error, endpoint.redact) from None
            except TimeoutError:
                raise AskFailed("timeout", f"no reply within {timeout_s:g} s") from None
            except (openai.APIConnectionError, aiohttp.ClientError) as error:
                raise _connection_failure(error, endpoint.redact) from None
            return parse_reply(response.content, endpoint.redact)

        yield send


def _client(endpoint: Endpoint, connections: int, timeout_s: float) -> openai.AsyncOpenAI:
    import httpx2
    import openai

    from nightbench.accuracy.bounded_replies import bounded

    timeout = httpx2.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s))
    return openai.AsyncOpenAI(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key or "none",
        default_headers={"Accept-Encoding": ACCEPTED} | _headers(endpoint, os.environ),
        max_retries=0,
        timeout=timeout,
        http_client=openai.DefaultAioHttpClient(
            timeout=timeout,
            limits=httpx2.Limits(max_connections=connections),
            # Not followed: httpx takes only Authorization off a request to another host.
            follow_redirects=False,
            trust_env=not is_this_machine(endpoint.base_url),
            verify=endpoint.verify_tls,
            event_hooks={"response": [bounded(endpoint.limits)]},
        ),
    )


def _headers(endpoint: Endpoint, environ: Mapping[str, str]) -> dict[str, Any]:
    """The endpoint's own, and none of those that the library takes from the environment for any
    endpoint (OPENAI_ORG_ID, OPENAI_PROJECT_ID, OPENAI_CUSTOM_HEADERS)."""
    import openai

    lines = environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    ambient = {line.partition(":")[0].strip() for line in lines if ":" in line}
    ambient |= {"OpenAI-Organization", "OpenAI-Project"}
    own = endpoint.request_headers()
    names = {name.lower() for name in own}
    if "authorization" not in names:
        own["Authorization"] = "Bearer none"  # the library wants one
    return {name: openai.Omit() for name in ambient if name.lower() not in names} | own


def _status_failure(error: openai.APIStatusError, redact: Redactor) -> AskFailed:
    status = error.status_code
    words = redact(_server_words(error)[:MOST_WORDS_CHARS])
    kinds = {401: "unauthorized", 403: "unauthorized", 404: "not_found", 429: "rate_limited"}
    kind = kinds.get(status, "server_error" if status >= 500 else "bad_request")
    return AskFailed(
        kind,
        safe_line(f"HTTP {status}: {words}", max_chars=ERROR_CHARS),
        status=status,
        retry_after_s=retry_after_s(error.response.headers.get("retry-after")),
        url=redact(str(error.request.url)),
    )


def _server_words(error: openai.APIStatusError) -> str:
    if error.response.is_redirect:
        return f"redirect to {error.response.headers.get('location')}, not followed"
    body = error.body
    if isinstance(body, dict):
        message = body.get("message") or body.get("detail") or body.get("error")
        if isinstance(message, str):
            return message
    return str(error.response.text or error.response.reason_phrase)


def _connection_failure(error: BaseException, redact: Redactor) -> AskFailed:
    """By what aiohttp said: on the way up, a refused connection has become a timeout."""
    import aiohttp

    while error.__cause__ is not None and not isinstance(error, aiohttp.ClientError):
        error = error.__cause__
    never_connected = aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError
    kind = "cut"
    if isinstance(error, never_connected):
        kind = "connect"
    elif isinstance(error, TimeoutError):
        kind = "timeout"
    said = redact(str(error)[:MOST_WORDS_CHARS]) or type(error).__name__
    return AskFailed(kind, safe_line(said, max_chars=ERROR_CHARS))

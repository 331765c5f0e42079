"""One question to an OpenAI-compatible chat API, through AsyncOpenAI, and what came back.

The body is read here instead of by the client's models: a reply is untrusted, servers add and omit
fields, and validating what is thrown away costs a third of the client's time.
"""

from __future__ import annotations

import asyncio
import json
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nightbench.endpoint import Endpoint
from nightbench.suite import Generation
from nightbench.terminal_text import safe_line

if TYPE_CHECKING:
    import ssl

    import openai

CONNECTIONS_PER_CLIENT = 8
MAX_REPLY_BYTES = 16 * 1024 * 1024
CONNECT_TIMEOUT_S = 10.0
_ERROR_CHARS = 300
_THIS_MACHINE = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A question as it is sent."""

    prompt: str
    generation: Generation
    system_prompt: str | None = None

    def body(self, model: str) -> dict[str, Any]:
        """The request's JSON."""
        system = [{"role": "system", "content": self.system_prompt}] if self.system_prompt else []
        messages = [*system, {"role": "user", "content": self.prompt}]
        return {"model": model, "messages": messages} | self.generation.body()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back. `reasoning` is what the model thought, kept apart from what it answered."""

    text: str
    reasoning: str | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None


class AskFailed(Exception):
    """A request without a reply. `kind` is what rows call it; `status` is HTTP's, if any.

    Never leaves this package: it becomes a row, or an EndpointError where nothing was answered.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s


Send = Callable[[Ask], Awaitable[Reply]]


@asynccontextmanager
async def chat_sender(
    endpoint: Endpoint, *, max_concurrency: int, timeout_s: float
) -> AsyncIterator[Send]:
    """A `Send` over connections that are kept open; `timeout_s` bounds one whole request."""
    import httpx2
    import openai

    # A client looks through all of its connections for each request, so that one client with 64
    # costs an eighth more than eight with 8.
    slots: list[openai.AsyncOpenAI] = []
    async with AsyncExitStack() as stack:
        tls = httpx2.create_ssl_context() if endpoint.base_url.startswith("https") else False
        for first in range(0, max_concurrency, CONNECTIONS_PER_CLIENT):
            connections = min(CONNECTIONS_PER_CLIENT, max_concurrency - first)
            client = _client(endpoint, connections, timeout_s, tls)
            await stack.enter_async_context(client)
            slots += [client] * connections

        async def send(ask: Ask) -> Reply:
            client = slots.pop()
            try:
                async with asyncio.timeout(timeout_s):
                    response = await client.post(
                        "/chat/completions",
                        cast_to=httpx2.Response,
                        body=ask.body(endpoint.model),
                    )
            except openai.APIStatusError as error:
                raise _status_failure(error) from None
            except (TimeoutError, openai.APITimeoutError):
                raise AskFailed("timeout", f"no reply within {timeout_s:g} s") from None
            except openai.APIConnectionError as error:
                raise _connection_failure(error) from None
            finally:
                slots.append(client)
            return parse_reply(response.content)

        yield send


def _client(
    endpoint: Endpoint, connections: int, timeout_s: float, tls: ssl.SSLContext | bool
) -> openai.AsyncOpenAI:
    import httpx2
    import openai

    timeout = httpx2.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s))
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    return openai.AsyncOpenAI(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key or "none",
        default_headers=dict(endpoint.headers),
        max_retries=0,
        timeout=timeout,
        http_client=httpx2.AsyncClient(
            timeout=timeout,
            limits=limits,
            verify=tls,
            # A proxy in the environment is for the world, not for a server on this machine.
            trust_env=urllib.parse.urlsplit(endpoint.base_url).hostname not in _THIS_MACHINE,
        ),
    )


def parse_reply(content: bytes) -> Reply:
    """Read a chat completion's JSON. Raises AskFailed of kind bad_reply."""
    if len(content) > MAX_REPLY_BYTES:
        raise AskFailed("bad_reply", f"the reply is {len(content)} bytes long")
    try:
        payload = json.loads(content.decode("utf-8", "replace"))
        choice = payload["choices"][0]
        message = choice["message"]
        text = _text(message.get("content")) or ""
        reasoning = _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        start = content[:80].decode("utf-8", "replace")
        reason = f"not a chat completion ({type(error).__name__}): {start}"
        raise AskFailed("bad_reply", safe_line(reason, max_chars=_ERROR_CHARS)) from None
    usage = payload.get("usage") or {}
    details = usage.get("completion_tokens_details") or {}
    answer, thought = split_thinking(text)
    return Reply(
        text=answer,
        reasoning=reasoning or thought,
        finish_reason=_text(choice.get("finish_reason")),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        reasoning_tokens=_count(details.get("reasoning_tokens")),
    )


def split_thinking(text: str) -> tuple[str, str | None]:
    """A `<think>` block that a server left in the content, apart from the answer.

    Templates that open the block in the prompt leave only its end. A block that never ends (a
    truncated reply) is all thought and no answer.
    """
    before, end, after = text.rpartition("</think>")
    if end:
        return after.lstrip("\n"), before.removeprefix("<think>").strip()
    if text.lstrip().startswith("<think>"):
        return "", text.lstrip().removeprefix("<think>").strip()
    return text, None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _status_failure(error: Any) -> AskFailed:
    status = int(error.status_code)
    kinds = {401: "unauthorized", 403: "unauthorized", 404: "not_found", 429: "rate_limited"}
    kind = kinds.get(status, "server_error" if status >= 500 else "bad_request")
    return AskFailed(
        kind,
        safe_line(f"HTTP {status}: {_server_words(error)}", max_chars=_ERROR_CHARS),
        status=status,
        retry_after_s=_retry_after_s(error.response.headers.get("retry-after")),
    )


def _server_words(error: Any) -> str:
    body = error.body
    if isinstance(body, dict):
        message = body.get("message") or body.get("detail") or body.get("error")
        if isinstance(message, str):
            return message
    return str(error.response.text[:_ERROR_CHARS] or error.response.reason_phrase)


def _retry_after_s(value: str | None) -> float | None:
    try:
        return max(0.0, float(value)) if value is not None else None
    except ValueError:
        return None  # a date: rare, and the usual backoff does


def _connection_failure(error: Any) -> AskFailed:
    import httpx2

    cause = error.__cause__
    reason = str(cause or error) or type(cause).__name__
    never_connected = isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout)
    kind = "connect" if never_connected else "cut"
    return AskFailed(kind, safe_line(reason, max_chars=_ERROR_CHARS))

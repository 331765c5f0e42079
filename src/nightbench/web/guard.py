"""ASGI apps of others behind our door: own names and pages only, and a password where asked.

The apps stay as they are; what they would let in does not reach them.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import PlainTextResponse

from nightbench.web.own_origin import Headers, OwnNames, refusal, values

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

WS_POLICY_VIOLATION = 1008
# Scripts, frames and connections of nobody else: the pages show what models and engines wrote.
CONTENT_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
PROTECTIONS: Headers = (
    (b"content-security-policy", CONTENT_POLICY.encode()),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_REPLACED = {name for name, _ in PROTECTIONS}


def own_origin_only(app: App, own: OwnNames) -> App:
    """The app, for requests to its own names from its own pages. No answer of it is another
    origin's to read or to frame, whatever the app itself says of that."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await app(scope, receive, send)
        why = refusal(own, scope.get("method", "GET"), scope["headers"])
        if why:
            return await refuse(403, why)(scope, receive, send)
        return await app(scope, receive, _protected(send))

    return guarded


def with_password(app: App, auth: str) -> App:
    """The app, for who says `user:password`. The browser asks for it and keeps it for this server
    alone: a cookie would be sent to every port of 127.0.0.1, whosever server is there."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and not says(scope["headers"], auth):
            asks = {"www-authenticate": 'Basic realm="nightbench", charset="UTF-8"'}
            return await refuse(401, "password required", asks)(scope, receive, send)
        return await app(scope, receive, send)

    return guarded


def says(headers: Headers, auth: str) -> bool:
    """Whether a request says `user:password` (RFC 7617)."""
    given = values(headers, b"authorization")
    scheme, _, word = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    try:
        said = base64.b64decode(word.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(said, auth.encode())


def refuse(status: int, why: str, headers: dict[str, str] | None = None) -> App:
    """An app that answers nothing but this."""

    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()  # the handshake; closed before it is accepted, it is answered with 403
            return await send({"type": "websocket.close", "code": WS_POLICY_VIOLATION})
        answer = PlainTextResponse(f"nightbench: {why}\n", status, headers)
        return await answer(scope, receive, _protected(send))

    return refusing


def _protected(send: Send) -> Send:
    async def protected(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [one for one in message.get("headers", ()) if not _is_ours_to_say(one[0])]
            message = {**message, "headers": [*kept, *PROTECTIONS]}
        await send(message)

    return protected


def _is_ours_to_say(name: bytes) -> bool:
    lower = name.lower()
    return lower in _REPLACED or lower.startswith(b"access-control-")

"""The bytes of requests, built before a level starts."""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nightbench import addresses
from nightbench.endpoint import Endpoint
from nightbench.errors import BadInput
from nightbench.load.plan.levels import CHAT_PATH, Level
from nightbench.load.plan.workloads import Prompts, prompt_hash


@dataclass(frozen=True, slots=True)
class Address:
    """Where requests go."""

    host: str
    port: int
    tls: bool
    path: str


def address_of(endpoint: Endpoint, path: str = CHAT_PATH) -> Address:
    """The host, port, path and query of what is asked of an endpoint. Raises BadInput."""
    try:
        parts = urlsplit(addresses.checked(addresses.joined(endpoint.base_url, path)))
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise BadInput(
            f"{endpoint.redact(endpoint.base_url)!r} is not the URL of a server: {error}",
            hint="give http://HOST:PORT/v1",
        ) from None
    tls = parts.scheme == "https"
    query = f"?{parts.query}" if parts.query else ""
    return Address(host, port or (443 if tls else 80), tls, parts.path + query)


def head_of(endpoint: Endpoint, address: Address) -> str:
    """A request's head up to the value of Content-Length."""
    default_port = 443 if address.tls else 80
    name = f"[{address.host}]" if ":" in address.host else address.host
    host = name if address.port == default_port else f"{name}:{address.port}"
    headers = {
        "Host": host,
        "Content-Type": "application/json",
        "Accept": "text/event-stream, application/json",
        # What is compressed waits for more to come, in the server or before it.
        "Accept-Encoding": "identity",
        "User-Agent": "nightbench",
    }
    own = endpoint.request_headers()
    given = {name.lower() for name in own}
    headers = {name: value for name, value in headers.items() if name.lower() not in given} | own
    lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    return f"POST {address.path} HTTP/1.1\r\n{lines}Content-Length: "


def body_of(level: Level, model: str, prompt: str) -> bytes:
    """The JSON body of one request: the level's template, or a chat of one turn."""
    body: dict[str, Any]
    if level.query_template is not None:
        body = _filled(json.loads(level.query_template), model, prompt)
    elif level.path.partition("?")[0].endswith("/chat/completions"):
        body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    else:
        body = {"model": model, "prompt": prompt}
    body |= level.generation
    if level.stream:
        body["stream"] = True
        _ask_for_usage(body, level.stream_options)
    elif "stream" in body:
        body["stream"] = False
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _ask_for_usage(body: dict[str, Any], options: dict[str, Any] | None) -> None:
    """Put what is asked of the stream into a body; what a template or `extra_body` says there wins,
    and null or false there means that it is not sent."""
    own = body.pop("stream_options", {})
    if not isinstance(own, dict) or (options is None and not own):
        return
    body["stream_options"] = {"include_usage": True} | (options or {}) | own


def _filled(value: Any, model: str, prompt: str) -> Any:
    """A template with %m and %p, in any of its strings, replaced by the model and the prompt."""
    if isinstance(value, str):
        # The prompt last: what is in it is no template.
        return value.replace("%m", model).replace("%p", prompt)
    if isinstance(value, dict):
        return {key: _filled(item, model, prompt) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, model, prompt) for item in value]
    return value


def write_bodies(level: Level, prompts: Prompts, model: str, path: Path) -> list[str]:
    """Write the bodies of a level, warm-up first, and where each ends (`.ends` beside it).

    Returns the hash of each prompt, in the same order.
    """
    ends, at, hashes = array("Q"), 0, []
    with path.open("wb") as file:
        for prompt in prompts.slice(level.first_prompt, level.warmup_prompts + level.num_prompts):
            at += file.write(body_of(level, model, prompt))
            ends.append(at)
            hashes.append(prompt_hash(prompt))
    path.with_suffix(".ends").write_bytes(ends.tobytes())
    return hashes

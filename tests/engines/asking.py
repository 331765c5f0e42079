"""A greedy answer of a real server."""

from __future__ import annotations

import httpx

from nightbench.serving.server import Server

MAX_TOKENS = 16


def ask(server: Server, prompt: str) -> str:
    """A greedy answer through the API."""
    reply = httpx.post(
        f"{server.endpoint.base_url}/chat/completions",
        headers=server.endpoint.request_headers(),
        json={
            "model": server.endpoint.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": MAX_TOKENS,
            "temperature": 0,
        },
        timeout=120,
        trust_env=False,
    )
    reply.raise_for_status()
    return str(reply.json()["choices"][0]["message"]["content"])

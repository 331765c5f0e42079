"""Where a model answers: the one value that serving hands to accuracy and load."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An OpenAI-compatible API and the model to ask for there.

    `base_url` ends in /v1 (no slash after it). `api_key` never shows in repr, logs or rows.
    """

    base_url: str
    model: str
    api_key: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def root_url(self) -> str:
        """The server itself, where /health and /metrics live."""
        return self.base_url.removesuffix("/v1")

    def request_headers(self) -> dict[str, str]:
        """Authorization and the suite's own headers, ready to send."""
        authorization = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        return authorization | dict(self.headers)

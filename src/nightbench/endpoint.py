"""Where a model answers: the one value that serving hands to accuracy and load."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from nightbench import addresses
from nightbench.errors import BadInput
from nightbench.secrets.redaction import Redactor
from nightbench.secrets.values import secrets_of_headers
from nightbench.untrusted.limits import DEFAULT_LIMITS, AnswerLimits

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def filled(text: str, environ: Mapping[str, str]) -> str:
    """A header's value with `${NAME}` replaced by what the variable holds. Raises BadInput."""

    def value_of(found: re.Match[str]) -> str:
        try:
            return environ[found[1]]
        except KeyError:
            raise BadInput(
                f"a header refers to {found[1]}, which is not set", hint="Export it first."
            ) from None

    return _VARIABLE.sub(value_of, text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An OpenAI-compatible API and the model to ask for there.

    `base_url` has no slash at its end, and may have a query: `url_of` joins what is asked to it.
    `api_key` never shows in repr, logs or rows.
    Whatever comes back from there passes through `redact`: it knows the key and the secret headers,
    and what else whoever made the endpoint knows (the environment's secrets). `limits` is how much
    may be read of what comes back. `verify_tls`: whether its certificate has to be one we trust.
    A POST to `cache_reset_path` empties the server's prefix cache, where its engine is known to
    offer that.

    Raises BadInput for a header that cannot be sent.
    """

    base_url: str
    model: str
    api_key: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    redact: Redactor = field(default=Redactor(), repr=False, compare=False)
    limits: AnswerLimits = DEFAULT_LIMITS
    verify_tls: bool = True
    cache_reset_path: str | None = None

    def __post_init__(self) -> None:
        own = secrets_of_headers(self.headers) | {self.api_key}
        object.__setattr__(self, "redact", self.redact.knowing(*own))
        for name, value in self.request_headers().items():
            _refuse_unsendable(name, value)

    @property
    def root_url(self) -> str:
        """The server itself, where /health and /metrics live."""
        return addresses.root_of(self.base_url)

    def url_of(self, path: str) -> str:
        """What is asked at `path` of the API: `/chat/completions`, `/models`."""
        return addresses.joined(self.base_url, path)

    def request_headers(self) -> dict[str, str]:
        """Authorization and the suite's own headers, ready to send."""
        own = any(name.lower() == "authorization" for name, _ in self.headers)
        key = {} if own or not self.api_key else {"Authorization": f"Bearer {self.api_key}"}
        return key | dict(self.headers)


def _refuse_unsendable(name: str, value: str) -> None:
    """Raise BadInput for a header that HTTP cannot carry; its value, perhaps a key, is not told."""
    fits = name.isascii() and all(32 < ord(letter) < 127 and letter != ":" for letter in name)
    try:
        value.encode("latin-1")
    except UnicodeEncodeError as error:
        odd = value[error.start]
        raise BadInput(
            f"the header {name} cannot be sent: there is a character U+{ord(odd):04X} in its value",
            hint="HTTP headers are ASCII; copied keys may contain typographic quotes or spaces.",
        ) from None
    if not name or not fits or any(bad in value for bad in "\r\n\0"):
        raise BadInput(
            f"the header {name!r} cannot be sent",
            hint="It must be one line without control characters.",
        )

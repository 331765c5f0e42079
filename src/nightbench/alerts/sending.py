"""How a message gets out: a Slack-compatible webhook, or whatever else apprise knows.

An address is a secret: whoever has it can write where it leads. So it is read from the
environment or from a Prefect block, and never shown, not even by an error.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from nightbench.alerts.message import Message
from nightbench.errors import AlertError
from nightbench.secrets.redaction import Redactor
from nightbench.secrets.values import ALERT_ADDRESSES, REDACTED, secrets_of_address
from nightbench.terminal_text import safe_line

TIMEOUT_S = 15.0
LEAST_OF_AN_ADDRESS = 6  # characters: what may be a key in one that failed
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Channel:
    """One address that messages go to. `name` may be shown, the address may not."""

    name: str
    address: str = field(repr=False)

    def secrets(self) -> set[str]:
        """What must not be told of its address."""
        return secrets_of_address(self.address)

    def send(self, message: Message) -> None:
        """Deliver it. Raises AlertError, without the address."""
        if self.address.lower().startswith(("http://", "https://")):
            _post(self, message)
        else:
            _by_apprise(self, message)


def channels(text: str, source: str) -> list[Channel]:
    """The addresses in a text, separated by white space; `source` says where they were found."""
    return [Channel(f"{source} ({_scheme(address)})", address) for address in text.split()]


def channels_of(environ: Mapping[str, str]) -> list[Channel]:
    """The addresses that NIGHTBENCH_ALERT_URL names."""
    return channels(environ.get(ALERT_ADDRESSES, ""), ALERT_ADDRESSES)


def without_secrets(message: Message, environ: Mapping[str, str]) -> Message:
    """The message, with what the environment keeps secret taken out of it."""
    redact = Redactor.from_env(environ)
    return Message(redact(message.subject), redact(message.body))


def reason(error: BaseException, *secrets: str) -> str:
    """What went wrong, in a line that has no address and none of these secrets in it."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP {error.response.status_code}"
    redact = Redactor.from_env().knowing(*secrets)
    said = safe_line(_ADDRESS.sub("(its address)", redact(str(error))), max_chars=200)
    return f"{type(error).__name__}: {said}".rstrip(": ")


def without_marks(message: Message) -> Message:
    """The message for a channel that may take angle brackets for tags or mentions."""
    marks = str.maketrans("<>", "‹›")
    return Message(message.subject.translate(marks), message.body.translate(marks))


def slack_text(message: Message) -> str:
    """As Slack and what is compatible with it want text: three characters are theirs."""
    text = f"{message.subject}\n\n{message.body}"
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _scheme(address: str) -> str:
    scheme, found, _ = address.partition("://")
    return scheme.lower() if found else "no address"


def _post(channel: Channel, message: Message) -> None:
    said = {"text": slack_text(message)}
    try:
        # Its status is the answer: nothing of what else it says is read.
        with httpx.stream("POST", channel.address, json=said, timeout=TIMEOUT_S) as answer:
            answer.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise AlertError(f"{channel.name}: {reason(error, *channel.secrets())}") from None


def _by_apprise(channel: Channel, message: Message) -> None:
    import apprise

    sender = apprise.Apprise()
    if not sender.add(channel.address):
        raise AlertError(
            f"{channel.name}: apprise does not support this address",
            hint="The supported forms are listed in docs/secrets.md.",
        )
    with apprise.LogCapture(level=logging.WARNING) as captured:  # type: ignore[no-untyped-call]
        sent = sender.notify(
            title=message.subject, body=message.body, body_format=apprise.NotifyFormat.TEXT
        )
        said = captured.getvalue()
    if not sent:
        raise AlertError(
            f"{channel.name}: {reason(RuntimeError(_without(said, channel)), *channel.secrets())}"
        )


def _without(said: str, channel: Channel) -> str:
    """What apprise said, without any part of the address that might be a key."""
    for part in sorted(re.split(r"[/:@?&=]+", channel.address), key=len)[::-1]:
        said = said.replace(part, REDACTED) if len(part) >= LEAST_OF_AN_ADDRESS else said
    return said

"""Whose requests a server of ours answers: those to its own names, from its own pages.

A page of another origin may send requests to 127.0.0.1 as well, and a name that somebody points at
127.0.0.1 makes the page's origin ours (DNS rebinding). Both are told by what a browser, and no page
in it, writes: Host, Origin and Sec-Fetch-Site. Decisions over headers; who is let in is another
question.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Headers = Sequence[tuple[bytes, bytes]]  # as ASGI has them: names in lower case

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?", re.IGNORECASE)
_OWN_PAGES = ("same-origin", "none")  # `none`: typed, or opened from a bookmark


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnNames:
    """What a server is called. A Host's port is not looked at: a tunnel's end has another one, and
    nobody can choose it for somebody else's browser."""

    names: frozenset[str]
    # Of a proxy before us that writes a Host of its own: as an Origin has them, port included.
    proxies: frozenset[str] = frozenset()
    # An address is not a name that somebody could point here.
    any_address: bool = False

    @classmethod
    def of(
        cls, names: Iterable[str], allowed: Iterable[str] = (), *, any_address: bool = False
    ) -> OwnNames:
        """Of this machine's names and of those a person allows: `name` or `name:port`."""
        proxies = frozenset(name.lower() for name in allowed)
        known = (*LOOPBACK_NAMES, *names, *proxies)
        return cls(
            names=frozenset(filter(None, map(name_of, known))),
            proxies=proxies,
            any_address=any_address,
        )

    def has(self, host: str) -> bool:
        """Whether a Host header means this server."""
        name = name_of(host)
        return name in self.names or (self.any_address and _is_address(name))

    def is_own_page(self, origin: str, host: str) -> bool:
        """Whether an Origin is the server that the request goes to."""
        scheme, _, place = origin.lower().partition("://")
        return scheme in ("http", "https") and (place == host.lower() or place in self.proxies)


def name_of(host: str) -> str:
    """A Host header without its port, in lower case; "" for what is none."""
    found = _HOST.fullmatch(host)
    return found[1].lower() if found else ""


def refusal(own: OwnNames, method: str, headers: Headers) -> str:
    """Why a request is not answered; "" where it may be."""
    hosts = values(headers, b"host")
    if len(hosts) != 1 or not own.has(hosts[0]):
        named = name_of(hosts[0]) if len(hosts) == 1 else ""
        return f"this server is not known as {named or 'that'}: add the name with --allowed-host"
    if any(not own.is_own_page(origin, hosts[0]) for origin in values(headers, b"origin")):
        return "requests from another origin are refused"
    if _is_from_elsewhere(headers) and not _is_a_link(method, headers):
        return "requests from another site are refused"
    return ""


def values(headers: Headers, name: bytes) -> list[str]:
    """All values of a header."""
    return [value.decode("latin-1") for key, value in headers if key == name]


def _is_from_elsewhere(headers: Headers) -> bool:
    return any(value not in _OWN_PAGES for value in values(headers, b"sec-fetch-site"))


def _is_a_link(method: str, headers: Headers) -> bool:
    """A person who follows a link from a chat comes from elsewhere, too; a frame is no link."""
    return (
        method in ("GET", "HEAD")
        and values(headers, b"sec-fetch-mode") == ["navigate"]
        and values(headers, b"sec-fetch-dest") == ["document"]
    )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True

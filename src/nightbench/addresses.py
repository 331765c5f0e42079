"""Where an API is: the one way to read a base URL, and to join what is asked to it.

A base URL is used as it is given: its path is a prefix of every request's, its query
(`?api-version=…`) goes with each. /v1 is added only where there is no path at all.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from nightbench.secrets.values import is_secret

API_PATH = "/v1"
_KEPT = "/%:@!$&'()*+,;=~-._?"  # of a path or a query: what is not to be quoted (again)
_HOST = re.compile(r"[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.%A-Za-z_-]+\]")
_FORM = "expected http://HOST:PORT/v1 or https://…"
_THIS_MACHINE = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")


def checked(url: str) -> str:
    """The address as it is sent: quoted, without a slash at its end.

    Raises ValueError, whose words go behind "URL: ".
    """
    if any(character <= " " or character == "\x7f" for character in url.strip()):
        raise ValueError(f"it contains a space or a control character; {_FORM}")
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"it cannot be parsed ({error}); {_FORM}") from None
    if parts.scheme.lower() not in ("http", "https") or not host or port == 0:
        raise ValueError(f"it is not the URL of a server; {_FORM}")
    if "@" in parts.netloc:
        raise ValueError("it contains a user or a password: put keys into a header")
    if parts.fragment or url.strip().endswith("#"):
        raise ValueError("it contains a #, and the part after it is never sent")
    secret = [name for name, _ in parse_qsl(parts.query, True) if is_secret(name) or name == "sig"]
    if secret:
        raise ValueError(f"its query contains a key ({secret[0]}): put keys into a header")
    netloc = _netloc(host, port)
    path, query = quote(parts.path.rstrip("/"), safe=_KEPT), quote(parts.query, safe=_KEPT)
    return urlunsplit((parts.scheme.lower(), netloc, path, query, ""))


def with_api_path(url: str) -> str:
    """The base URL of an API that is at this address. Raises ValueError as `checked`."""
    address = checked(url)
    return address if urlsplit(address).path else joined(address, API_PATH)


def joined(base_url: str, path: str) -> str:
    """What is asked at `path` below a base URL, whose query goes with it."""
    base = urlsplit(base_url)
    path, _, query = path.partition("?")
    queries = "&".join(part for part in (base.query, query) if part)
    whole = f"{base.path.rstrip('/')}/{path.lstrip('/')}"
    return urlunsplit((base.scheme, base.netloc, whole, queries, ""))


def root_of(base_url: str) -> str:
    """The server itself, where /health and /metrics live: without /v1 and without a query."""
    base = urlsplit(base_url)
    path = base.path.rstrip("/").removesuffix(API_PATH)
    return urlunsplit((base.scheme, base.netloc, path, "", ""))


def is_this_machine(url: str) -> bool:
    """Whether a URL names this machine: a proxy in the environment is for the world."""
    host = ""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".").lower()
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host in _THIS_MACHINE or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified or _is_mapped_loopback(address)


def _is_mapped_loopback(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped is not None and mapped.is_loopback


def _netloc(host: str, port: int | None) -> str:
    """Host and port as they are sent: a name of any script by its ASCII form."""
    if ":" in host:
        name = f"[{host}]"
    else:
        try:
            name = host if host.isascii() else host.encode("idna").decode()
        except UnicodeError as error:
            raise ValueError(f"its host cannot be sent ({error})") from None
    if not _HOST.fullmatch(name):
        raise ValueError(f"its host cannot be sent; {_FORM}")
    return name if port is None else f"{name}:{port}"

"""The proxies of the environment are for the world: this machine is asked directly."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

# As httpx, aiohttp, urllib, requests and websockets each read them.
_DIRECT = ("localhost", "127.0.0.1", "::1", "0.0.0.0")  # noqa: S104 - asked, not bound
_NAMES = ("NO_PROXY", "no_proxy")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy")


def direct_to_this_machine(environ: Mapping[str, str]) -> dict[str, str]:
    """What to add to an environment so that neither this machine nor our own Prefect is asked by
    way of a proxy; nothing where it names none."""
    if not proxies_of(environ):
        return {}
    # Where both are there, some read the one and some the other.
    listed = ",".join(environ[name] for name in _NAMES if environ.get(name))
    # httpx takes no brackets.
    known = [part.strip().strip("[]") for part in listed.split(",") if part.strip()]
    if "*" in known:
        return dict.fromkeys(_NAMES, "*")
    wanted = [*known, *_DIRECT, *_prefect(environ)]
    return dict.fromkeys(_NAMES, ",".join(dict.fromkeys(wanted)))


def proxies_of(environ: Mapping[str, str]) -> list[str]:
    """The variables that name a proxy."""
    return [name for name, value in environ.items() if name.lower() in _PROXIES and value]


def _prefect(environ: Mapping[str, str]) -> list[str]:
    try:
        host = urlsplit(environ.get("PREFECT_API_URL", "")).hostname
    except ValueError:
        host = None
    return [host] if host else []

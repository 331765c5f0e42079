"""Which values are secrets: by the names of variables and headers, and within addresses."""

from __future__ import annotations

import base64
import re
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence

REDACTED = "***"
SHORTEST_SECRET = 8  # a shorter one would hide ordinary text
ALERT_ADDRESSES = "NIGHTBENCH_ALERT_URL"

_SECRET_NAME = re.compile(
    r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|AUTH|COOKIE|WEBHOOK"
    r"|(?:^|_)(?:PASS|PW|PAT|JWT)(?:_|$)|_(?:PWD|DSN|SK)$|CONNECTION_STRING",
    re.IGNORECASE,
)
# Names the pattern catches that hold no secret.
_HARMLESS = re.compile(
    r"TOKENIZER|(?:MAX|NUM)(?:_\w+)?_TOKENS|XAUTHORITY|AUTHOR(?!I)|KEYRING|KEYBOARD|KEYMAP"
    r"|_(?:FILE|PATH|DIR|SOCK|LENGTH|EXPIRATION)$",
    re.IGNORECASE,
)
_USER_AND_PASSWORD = re.compile(r"(?<=://)(?P<user>[^/@:\s?#]*)(?::(?P<password>[^/@\s]*))?(?=@)")
# `key=…` within a value: an address's query, headers, JSON, a connection string.
_NAMED = re.compile(
    r"(?:^|[\s?&;,{\"'])(?P<name>[\w.-]+)[\"']?\s*[=:]\s*[\"']?(?:bearer\s+|basic\s+)?"
    r"(?P<value>[^\s&;,\"'}]+)",
    re.IGNORECASE,
)
# An option that takes a key: narrower than a secret's name (`--key-cache-dtype`).
_KEY_OPTION = re.compile(
    r"(?:^|[^a-z])(?:api[_-]?keys?|access[_-]?keys?|secret(?:[_-]?key)?|password|passwd|passphrase"
    r"|token|credentials?)$",
    re.IGNORECASE,
)
_NO_KEY = ("/", ".", "~", "{", "-")  # how a path, a placeholder or the next option begins
_NAMES_A_VARIABLE = re.compile(r"[_-]env$", re.IGNORECASE)
_IN_AN_ADDRESS = re.compile(r"[/:@?&=#;,\s]+")
_HOST_NAME = re.compile(r"[\w-]+(?:\.[\w-]+)+")
_SCHEMES = ("bearer ", "basic ")
_CAPITAL_WITHIN = re.compile("[a-z][A-Z]")
_LONG_NAME = 24


def is_secret(name: str) -> bool:
    """Whether a variable (or a header) of that name holds something to be hidden."""
    plain = name.replace("-", "_")
    return bool(_SECRET_NAME.search(plain)) and not _HARMLESS.search(plain)


def secrets_of(environ: Mapping[str, str]) -> set[str]:
    """What of an environment is to be hidden: the values of variables with a secret's name, the
    passwords in addresses, keys that stand under their names within a value (`?token=…`), and all
    that could be a key in the addresses of alerts."""
    found: set[str] = set()
    for name, value in environ.items():
        found |= {*_passwords(value), *_named_keys(value)}
        if is_secret(name):
            found |= _parts(value)
    for address in environ.get(ALERT_ADDRESSES, "").split():
        found |= secrets_of_address(address)
    return {value for value in found if value}


def secrets_passed_on(environ: Mapping[str, str], names: Iterable[str]) -> set[str]:
    """What of the variables that a suite hands on by name (`pass_env`) is to be hidden: nobody says
    what they are, and all but a path may be a key."""
    values = (environ.get(name, "") for name in names)
    return {value for value in values if value and not value.startswith("/")}


def secrets_of_address(address: str) -> set[str]:
    """An address that is itself a secret (a webhook's), and what in it may be a key: not its host's
    name (`tgram://TOKEN/…` has a key in that place)."""
    parts = [part for part in _IN_AN_ADDRESS.split(address) if not _HOST_NAME.fullmatch(part)]
    return {address, *_passwords(address), *filter(_looks_random, parts)}


def secrets_of_headers(headers: Iterable[tuple[str, str]]) -> set[str]:
    """What of request headers is to be hidden: authorization, keys, cookies."""
    found: set[str] = set()
    for name, value in headers:
        if is_secret(name) or value.lower().startswith(_SCHEMES):
            cookies = (pair.partition("=")[2].strip() for pair in value.split(";"))
            found |= {*cookies} | _parts(value)
    return {value for value in found if value}


def without_userinfo(text: str) -> str:
    """The text, its addresses without user and password."""
    return _USER_AND_PASSWORD.sub(REDACTED, text)


def keys_in_words(words: Sequence[str]) -> set[str]:
    """Keys and passwords that stand in the words of a command: in addresses and behind options."""
    found: set[str] = set()
    for word, after in zip(words, [*words[1:], ""], strict=False):
        found |= set(_passwords(word))
        for pair in re.split(r"[?&\s]", word):
            name, equals, value = pair.partition("=")
            value = value if equals else after if pair == word and word.startswith("-") else ""
            if _KEY_OPTION.search(name) and _looks_random(value) and value[0] not in _NO_KEY:
                found.add(value)
    return found


def has_userinfo(url: str) -> bool:
    """Whether an address has a user or a password before its host."""
    return "@" in urllib.parse.urlsplit(url).netloc


def shown_name(variable: str) -> str:
    """A variable's name for a message, unless it may be the key itself, put in its name's place."""
    return "a variable" if _looks_random(variable) and len(variable) > _LONG_NAME else variable


def _parts(value: str) -> set[str]:
    """A secret value and what in it is secret by itself: a password after its user, a key after
    its scheme, the keys in an address."""
    if "://" in value:
        return {part for address in value.split() for part in secrets_of_address(address)}
    scheme, _, key = value.strip().partition(" ")
    if f"{scheme.lower()} " in _SCHEMES:
        value = key.strip()
    login = _decoded(value) if scheme.lower() == "basic" else value
    user, _, password = login.partition(":")
    return {value, password if user else ""}


def _decoded(login: str) -> str:
    """`user:password` of a header of basic authentication, "" of another."""
    try:
        return base64.b64decode(login, validate=True).decode()
    except ValueError:
        return ""


def _passwords(text: str) -> Iterator[str]:
    """The passwords of the addresses in a text, also as they are before quoting."""
    for found in _USER_AND_PASSWORD.finditer(text):
        # A token is often the user, without a password.
        password = found["password"] or (found["user"] if _looks_random(found["user"]) else "")
        yield from {password, urllib.parse.unquote(password)} - {""}


def _named_keys(text: str) -> Iterator[str]:
    """What stands in a text under a secret's name and looks like a key, also before quoting."""
    for found in _NAMED.finditer(text) if "=" in text or ":" in text else ():
        name, value = found["name"], found["value"]
        if is_secret(name) and _looks_random(value) and not _NAMES_A_VARIABLE.search(name):
            yield from {value, urllib.parse.unquote(value)}


def _looks_random(part: str) -> bool:
    return len(part) >= SHORTEST_SECRET and mixes(part)


def mixes(text: str) -> bool:
    """Whether letters mix with digits in it, or small ones with capitals within a word: names and
    prose rarely do."""
    letters = any(map(str.isalpha, text))
    return letters and (any(map(str.isdigit, text)) or _CAPITAL_WITHIN.search(text) is not None)

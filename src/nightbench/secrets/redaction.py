"""How secrets are kept out of every text that is shown or stored.

A `Redactor` is made of values (the environment's secrets, an endpoint's key) and handed to whatever
takes in text from outside: servers echo keys, whole, in part and in other spellings. Standard
library only, and quick: the supervisor of an engine imports it.
"""

from __future__ import annotations

import base64
import functools
import html
import json
import os
import re
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping

from nightbench.secrets.values import REDACTED, SHORTEST_SECRET, mixes, secrets_of

SHORTEST_PART = 12
# What keys are made of, letter by letter as JSON, Python, addresses and HTML escape it.
_LETTER = r"((?i:2[bdef]|3\d|4[1-9a-f]|5[\daf]|6[1-9a-f]|7[\da]))"
# Each begins with a character of its own, which the search leaps to.
_ESCAPED_ASCII = re.compile(
    rf"%{_LETTER}|\\(?:u00|x){_LETTER}|&#[xX]0*{_LETTER};"
    r"|&#0*(4[35-9]|5[0-7]|6[5-9]|[78]\d|9[057-9]|1[01]\d|12[0-2]);"
)
_ESCAPES = ("\\u00", "\\x", "%", "&#")

# A run of 12 characters holds, wherever it begins, a whole one of the 6 that begin at a multiple
# of 7: so every seventh place of a text is looked at, however many secrets there are.
_GRAM, _STRIDE = 6, SHORTEST_PART - 6 + 1
_LEAST_OF_WORDS = 16

Place = tuple["_Form", int]


class Redactor:
    """Takes the secrets it knows out of texts. A value: `knowing` makes another.

    Hidden are secrets of at least 8 characters, as they are and as JSON, an address, HTML, base64
    or hex spell them; and parts of them: at least 12 characters in which letters mix with digits
    or capitals, or at least 16 that are three quarters of the secret (words alone are ordinary
    text). Of a shorter one, or one that is a word (`disabled`), only `Bearer SECRET` and
    `:SECRET@` are hidden. Secrets that are paths or addresses count whole.
    """

    __slots__ = ("_forms", "_grams", "_known", "secrets")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.secrets = frozenset(filter(None, secrets))
        forms = {form.text: form for secret in self.secrets for form in _forms_of(secret)}
        self._forms = sorted(
            (text for text in forms if len(text) < SHORTEST_PART), key=len, reverse=True
        )
        self._grams: dict[str, list[Place]] = {}
        for form in forms.values():
            if len(form.text) >= SHORTEST_PART:
                for at in range(len(form.text) - _GRAM + 1):
                    self._grams.setdefault(form.text[at : at + _GRAM], []).append((form, at))
        self._known = frozenset(self._grams)

    @staticmethod
    def from_env(environ: Mapping[str, str] = os.environ, *more: str) -> Redactor:
        """One that knows an environment's secrets, and `more`."""
        return _made(frozenset(secrets_of(environ) | set(more)))

    def knowing(self, *secrets: str) -> Redactor:
        """One that knows these too."""
        new = set(filter(None, secrets)) - self.secrets
        return Redactor(self.secrets | new) if new else self

    def __call__(self, text: str) -> str:
        """The text without the secrets."""
        if len(text) < SHORTEST_SECRET:
            return text
        if any(begin in text for begin in _ESCAPES):
            text = self._unescaped(text)
        return self._without(text)

    def optional(self, text: str | None) -> str | None:
        """The same of a text that may be missing."""
        return None if text is None else self(text)

    def __repr__(self) -> str:
        return f"Redactor({len(self.secrets)} secrets)"

    def _unescaped(self, text: str) -> str:
        """With letters and digits in place of `\\u0041` or `%41`, where those hid a secret."""
        plain = _ESCAPED_ASCII.sub(_escaped_letter, text)
        if plain == text:
            return text
        return text if self._without(plain) == plain else plain

    def _without(self, text: str) -> str:
        for form in self._forms:
            if form in text:
                text = text.replace(form, REDACTED)
        places = range(0, len(text) - _GRAM + 1, _STRIDE)
        if self._known.isdisjoint(text[at : at + _GRAM] for at in places):
            return text
        return self._without_runs(text, places)

    def _without_runs(self, text: str, places: range) -> str:
        kept, end = [], 0
        for begin, stop in _merged(self._runs(text, places)):
            kept += [text[end:begin], REDACTED]
            end = stop
        return "".join((*kept, text[end:]))

    def _runs(self, text: str, places: range) -> Iterator[tuple[int, int]]:
        """Where the text has enough in common with a form to be hidden."""
        hidden_to = 0
        for at in places:
            if at + _GRAM <= hidden_to:
                continue
            for form, offset in self._grams.get(text[at : at + _GRAM], ()):
                begin, end = _common_run(text, at, form.text, offset)
                if form.tells(text[begin:end]):
                    hidden_to = max(hidden_to, end)
                    yield begin, end


@functools.lru_cache(maxsize=4)
def _made(secrets: frozenset[str]) -> Redactor:
    """The same for the same secrets: making one takes milliseconds."""
    return Redactor(secrets)


class _Form:
    """One spelling of a secret, and which parts of it give it away."""

    __slots__ = ("shortest", "text")

    def __init__(self, text: str, shortest: int) -> None:
        self.text, self.shortest = text, shortest

    def tells(self, run: str) -> bool:
        """Whether a part of it that stands in a text is to be hidden."""
        if len(run) == len(self.text):
            return True
        if len(run) < self.shortest:
            return False
        most = len(run) >= _LEAST_OF_WORDS and 4 * len(run) >= 3 * len(self.text)
        return most or mixes(run)


def _escaped_letter(found: re.Match[str]) -> str:
    *in_hex, decimal = found.groups()
    return chr(int(decimal) if decimal else int(next(filter(None, in_hex)), 16))


def _forms_of(secret: str) -> Iterator[_Form]:
    if len(secret) < SHORTEST_SECRET or _is_a_word(secret):
        for sent in (f"Bearer {secret}", f":{secret}@"):
            yield _Form(sent, len(sent))
        return
    whole = "://" in secret or secret.startswith(("/", "~/", "./"))
    for spelled in _spellings(secret):
        yield _Form(spelled, len(spelled) if whole else SHORTEST_PART)
    for encoded, shortest in _encodings(secret):
        yield _Form(encoded, shortest)


def _spellings(secret: str) -> set[str]:
    """As JSON (in ASCII or not, once and twice), addresses, HTML and Python write it, and as who
    takes capitals for small letters does (names of hosts and of headers)."""
    quote, bad = urllib.parse.quote, "surrogateescape"  # the environment may hold any bytes
    quoted = {quote(secret, errors=bad), quote(secret, safe="", errors=bad)}
    quoted |= {one.replace("%20", "+") for one in quoted}
    lower = {re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), one) for one in quoted}
    in_json = {json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    in_json |= {one.replace("/", "\\/") for one in in_json}
    twice = {json.dumps(one)[1:-1] for one in in_json}
    marked_up = {html.escape(secret), html.escape(secret, quote=False)}
    python = {repr(secret)[1:-1], ascii(secret)[1:-1]}
    cases = {secret, secret.lower(), secret.upper()}
    return cases | quoted | lower | in_json | twice | marked_up | python


def _encodings(secret: str) -> Iterator[tuple[str, int]]:
    """As base64 and hex hold it, wherever it stands in what was encoded (`user:SECRET`, say);
    each with the length from which a part of it tells 12 bytes of the secret."""
    raw = secret.encode(errors="surrogateescape")
    for before in range(3):
        text = base64.b64encode(bytes(before) + raw).decode()
        size = before + len(raw)
        # What also depends on the neighbours' bits is left out.
        text = text[(0, 2, 3)[before] : size // 3 * 4 + size % 3]
        for spelled in {text, text.translate(str.maketrans("+/", "-_"))}:
            if len(spelled) >= SHORTEST_SECRET:
                yield spelled, SHORTEST_PART * 4 // 3
    yield raw.hex(), 2 * SHORTEST_PART
    yield raw.hex().upper(), 2 * SHORTEST_PART


def _common_run(text: str, at: int, form: str, offset: int) -> tuple[int, int]:
    """How far, around places where they agree, a text and a form agree: from where to where."""
    begin, end = at, at + _GRAM
    left = offset
    while begin and left and text[begin - 1] == form[left - 1]:
        begin, left = begin - 1, left - 1
    right = offset + _GRAM
    while end < len(text) and right < len(form) and text[end] == form[right]:
        end, right = end + 1, right + 1
    return begin, end


def _merged(runs: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    begin = end = -1
    for start, stop in sorted(runs):
        if start > end:
            if end > 0:
                yield begin, end
            begin, end = start, stop
        else:
            end = max(end, stop)
    if end > 0:
        yield begin, end


def _is_a_word(secret: str) -> bool:
    return len(secret) < SHORTEST_PART and secret.isalpha() and not mixes(secret)

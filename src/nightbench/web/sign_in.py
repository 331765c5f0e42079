"""Addresses that sign a browser in, once.

A browser asks for a password and keeps it: Prefect's UI in its storage, what stands behind HTTP's
own authentication among the credentials of its origin. An address of ours gives it to the browser
instead: it carries a token that is worth the password once and for a day, in its fragment, which no
browser sends, logs or passes on. (What opens it may show it in a command line; it never shows the
password.) Whoever may write into the folder of tokens may make one: it lies beside the password.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from nightbench.web.guard import App, Receive, Scope, Send

PATH = "/sign-in"
LASTS_S = 24 * 3600.0
_MOST_BYTES = 256

# The token leaves the address, and with it the browser's history, before anything else happens.
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>nightbench</title></head><body><script>
const token = location.hash.slice(1), enter = () => location.replace("/");
history.replaceState(null, "", "%(path)s");
fetch("%(path)s", {method: "POST", body: token})
  .then(answer => answer.ok ? answer.text() : "")
  .then(word => { if (word) { %(keep)s } else enter(); })
  .catch(enter);
</script><noscript>This page needs JavaScript, and so do those behind it.</noscript></body></html>
"""
# Where both of Prefect's UIs look.
FOR_PREFECT = 'localStorage.setItem("prefect-password", word); enter();'
# A browser asks with these where it is asked for some, and then keeps them for this origin.
FOR_BASIC = """
  const [user, ...password] = atob(word).split(":"), asked = new XMLHttpRequest();
  asked.open("GET", "/", true, user, password.join(":"));
  asked.onloadend = enter;
  asked.send();
"""


class Tokens:
    """Tokens that were given out and not taken yet: a file each, named after the token's hash."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock

    def make(self) -> str:
        """A new token."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        token = secrets.token_urlsafe(24)
        file = self._file(token)
        file.touch(mode=0o600, exist_ok=False)
        file.write_text(str(self._clock()), encoding="ascii")
        return token

    def take(self, token: str) -> bool:
        """Whether it was given out, within the last day and to nobody before."""
        file = self._file(token)
        try:
            made = float(file.read_text(encoding="ascii"))
            file.unlink()  # of two at once, one finds it
        except (OSError, ValueError):
            return False
        return abs(self._clock() - made) < LASTS_S

    def forget(self) -> None:
        """Whatever was given out before is worth nothing any more."""
        for file in self._folder.glob("*"):
            file.unlink(missing_ok=True)

    def _file(self, token: str) -> Path:
        return self._folder / hashlib.sha256(token.encode()).hexdigest()


def with_sign_in(app: App, tokens: Tokens, auth: str, keep: str) -> App:
    """The app, and a page that exchanges a token for `user:password`. `keep` is the script by which
    the browser keeps it."""

    async def signing_in(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH:
            return await app(scope, receive, send)
        answer = await _answer(Request(scope, receive), tokens, auth, keep)
        return await answer(scope, receive, send)

    return signing_in


async def _answer(request: Request, tokens: Tokens, auth: str, keep: str) -> Response:
    if request.method in ("GET", "HEAD"):
        return HTMLResponse(_PAGE % {"path": PATH, "keep": keep})
    try:
        token = await _body(request) if request.method == "POST" else ""
    except ClientDisconnect:
        token = ""
    if not token or not tokens.take(token):
        return PlainTextResponse("this link has already been used", status_code=403)
    word = base64.b64encode(auth.encode()).decode()
    return PlainTextResponse(word, headers={"cache-control": "no-store"})


async def _body(request: Request) -> str:
    """A token's worth of it; what is longer is none."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            return ""
    return body.decode("latin-1")

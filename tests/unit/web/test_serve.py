"""The program that serves an app of somebody else behind our door."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from nightbench.serving.probing import free_port
from nightbench.serving.supervise.supervisor_client import wait_until
from nightbench.web.door import PASSWORD_NAME, Door

APP = """
from pathlib import Path

def create():
    Path("made").write_text("by the app")
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            for what in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{what}.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"the app"})
    return app
"""
INTRUDER = 'raise SystemExit("what lay in the working directory was run")'


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """An app behind a password, served from a folder that somebody else has prepared."""
    modules, folder = tmp_path / "modules", tmp_path / "folder"
    modules.mkdir()
    folder.mkdir()
    (modules / "an_app.py").write_text(APP, encoding="utf-8")
    for name in ("nightbench", "uvicorn", "an_app"):
        (folder / f"{name}.py").write_text(INTRUDER, encoding="utf-8")
    door = Door(port=free_port(), allowed=("nights.example.org",))
    env = os.environ | {PASSWORD_NAME: "night:owl", "PYTHONPATH": str(modules)}
    with subprocess.Popen(door.argv("an_app:create"), cwd=folder, env=env) as process:
        address = f"http://127.0.0.1:{door.port}"
        assert wait_until(lambda: process.poll() is not None or answers(address), 30)
        assert process.poll() is None
        yield address
        process.terminate()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 401
    except httpx.HTTPError:
        return False


def test_it_asks_for_the_password_and_answers_its_own_names_only(url: str, tmp_path: Path) -> None:
    def ask(**headers: str) -> tuple[int, str]:
        answer = httpx.get(url, auth=("night", "owl"), headers=headers, trust_env=False)
        return answer.status_code, answer.text

    assert ask() == (200, "the app")
    assert ask(host="nights.example.org") == (200, "the app")
    assert ask(host="elsewhere.example")[0] == 403
    assert ask(origin="http://elsewhere.example")[0] == 403
    assert (tmp_path / "folder" / "made").stat().st_mode & 0o077 == 0

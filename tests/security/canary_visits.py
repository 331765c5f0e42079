"""What a person does with commands that stay until Ctrl-C, while their processes are watched."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from nightbench.cli.prefect_access import AUTH_NAMES
from tests.security.canary_scene import UP, WATCH, Scene

CLICKED = "canaries-clicked"
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
RUN_S = 240.0
# What each says when it is there for others.
VISITS = {
    "serve": b"Ctrl-C stops it",
    "up": b"Ctrl-C stops all",
    "watch": b"Another browser asks for user and password",
}


def without_passwords(env: dict[str, str]) -> dict[str, str]:
    """The same, so that `up` makes a password of its own."""
    return {name: value for name, value in env.items() if name not in AUTH_NAMES}


def visit(scene: Scene, process: subprocess.Popen[bytes], printed: Path, command: str) -> None:
    """Wait until it is there, ask it, and press Ctrl-C."""
    if not until(lambda: VISITS[command] in printed.read_bytes(), process, 300):
        return
    port = printed.read_text().partition("http://127.0.0.1:")[2][:8].split("/")[0].split()
    try:
        if command == "up":
            click(scene, f"http://127.0.0.1:{port[0]}/api")
        elif command == "watch":
            look(scene, f"http://127.0.0.1:{port[0]}")
    finally:
        process.send_signal(signal.SIGINT)


def until(holds: Callable[[], bool], process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Whether it came to hold while the process lived."""
    deadline = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.05)
    return False


def click(scene: Scene, url: str) -> None:
    """Run a suite of hostile servers by a click; whoever is signed out is told nothing."""
    signed_out_is_refused(scene, "up", f"{url}/flow_runs/filter", "POST")
    with httpx.Client(auth=login(scene, UP), timeout=30, trust_env=False) as client:

        def ask(method: str, path: str, body: object = None) -> Any:
            for _ in range(20):
                answer = client.request(method, f"{url}{path}", json=body)
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:  # SQLite was busy
                    break
                time.sleep(0.5)
            return answer.raise_for_status().json()

        there = ask("GET", "/deployments/name/nightly/smoke")
        wanted = {"parameters": {"suite": CLICKED}, "state": {"type": "SCHEDULED"}}
        run = ask("POST", f"/deployments/{there['id']}/create_flow_run", wanted)
        deadline = time.monotonic() + RUN_S
        while ask("GET", f"/flow_runs/{run['id']}")["state"]["type"] not in FINAL:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the run that was clicked takes more than {RUN_S} s")
            time.sleep(0.5)


def look(scene: Scene, url: str) -> None:
    """Open SwanLab's pages; whoever is signed out is told nothing."""
    signed_out_is_refused(scene, "watch", f"{url}/api/v1/project", "GET")
    answer = httpx.get(url, auth=login(scene, WATCH), timeout=30, trust_env=False)
    answer.raise_for_status()


def signed_out_is_refused(scene: Scene, command: str, url: str, method: str) -> None:
    """An answer to somebody without the password counts as a leak."""
    wrong = ("nightbench", "guessed")
    for auth in (None, wrong):
        answer = httpx.request(method, url, json={}, auth=auth, timeout=30, trust_env=False)
        if answer.status_code != httpx.codes.UNAUTHORIZED:
            scene.leaks.append(("any", f"{command}, to nobody", f"{answer.status_code} {url}"))


def login(scene: Scene, kind: str) -> tuple[str, str]:
    """The user and the password that a command has made."""
    user, _, password = scene.passwords[kind].read_text().strip().partition(":")
    return user, password

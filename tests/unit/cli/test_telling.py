"""What commands print of what others wrote: no secret, and nothing that drives a terminal."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from nightbench.cli.main import main
from nightbench.cli.telling import told
from nightbench.cli.terminal_progress import TerminalProgress
from nightbench.progress import Progress
from tests.security.hostile import hostile

KEY = "sk-Canary9fQ2xZ7mLp4vT8wRb6nK3"
CLEARS = "\x1b[2J\x9b31m\u202e"


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("LLM_LOGIN", KEY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_the_command_line_names_is_a_secret_whatever_it_is_called() -> None:
    environ = {"LLM_LOGIN": KEY}
    assert told(f"no {KEY}", ["eval", "--api-key-env", "LLM_LOGIN"], environ) == "no ***"
    assert told(f"no {KEY}", ["eval", "--api-key-env=LLM_LOGIN"], environ) == "no ***"
    header = ["load", "--header", "Authorization=Bearer typed-7Q7Q7Q7Q"]
    assert told("no typed-7Q7Q7Q7Q", header, {}) == "no ***"


def test_a_text_is_told_as_text() -> None:
    assert told(f"a{CLEARS}\nhttp://me:pw@h/v1", [], {}) == (
        "a\ufffd[2J\ufffd31m\ufffd\nhttp://***@h/v1"
    )


@pytest.mark.usefixtures("keyed")
def test_a_refusal_that_repeats_the_key_is_told_without_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with hostile() as server:
        asked = ["--base-url", f"{server.url}/v1", "--model", "m", "--api-key-env", "LLM_LOGIN"]
        assert main(["eval", *asked, "--benchmark", "starter", "--limit", "1"]) == 1
    said = capsys.readouterr()
    assert "Incorrect API key provided: ***" in said.err
    assert KEY[3:] not in said.out + said.err


def test_a_traceback_and_what_libraries_log_hold_no_secret(tmp_path: Path) -> None:
    """As `nightbench` shows a fault of its own: the message may be a server's."""
    script = tmp_path / "fault.py"
    script.write_text(
        "import logging\nfrom nightbench.cli import main\n"
        "def fault(*_):\n"
        f"    logging.getLogger('asyncio').error('never retrieved: %s', '{KEY}')\n"
        f"    raise RuntimeError('{KEY}' + chr(27))\n"
        "main.main = fault\nmain.entry()\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        env={"SOME_API_KEY": KEY},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("never retrieved: ***\n")
    assert "RuntimeError: ***" in done.stderr
    assert KEY[3:] not in done.stderr.replace(f"'{KEY}'", "")  # the script's own line
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("command", ["eval", "load"])
def test_a_password_in_an_address_is_refused_and_not_repeated(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--benchmark", "starter"] if command == "eval" else ["--max-concurrency", "1"]
    assert main([command, "--base-url", "http://me:canary-pass@h/v1", "--model", "m", *more]) == 2
    said = capsys.readouterr().err
    assert "has a user or a password in it" in said
    assert "canary" not in said


@pytest.mark.usefixtures("keyed")
def test_a_header_is_filled_from_the_environment(capsys: pytest.CaptureFixture[str]) -> None:
    with hostile(("x-gateway-token",), first="its header") as server:  # to what empties its cache
        asked = ["--base-url", f"{server.url}/v1", "--model", "m", "--max-concurrency", "1"]
        header = ["--header", "X-Gateway-Token=${LLM_LOGIN}", "--warmup", "0"]
        assert main(["load", *asked, *header, "--num-prompts", "1"]) == 0
    assert "x-gateway-token: ***" in capsys.readouterr().err


def test_progress_drives_no_terminal() -> None:
    out = io.StringIO()
    with TerminalProgress(Console(file=out)) as progress:
        progress(Progress("model", f"m{CLEARS}", f"pulling{CLEARS} [bold]x"))
    assert not set(CLEARS[0] + CLEARS[4] + CLEARS[-1]) & set(out.getvalue())
    assert "[bold]x" in out.getvalue()


def test_a_name_in_an_error_drives_no_terminal_and_shows_no_key(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", KEY)
    assert main(["plan", f"suite{CLEARS}-{KEY}"]) == 2
    said = capsys.readouterr().err
    assert "there is no suite file suite\ufffd[2J" in said
    assert KEY not in said
    assert not set(said) & set("\x1b\x9b\u202e")

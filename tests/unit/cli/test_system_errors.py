"""What the system refuses is one clear message, and what cannot be a number is told at once."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from nightbench.cli import history_command
from nightbench.cli.main import main
from nightbench.cli.telling import of_the_system


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EROFS, "NIGHTBENCH_HOME"),
        (errno.EACCES, "permission denied: /x"),
        (errno.EADDRINUSE, "another port"),
    ],
)
def test_an_error_of_the_system_is_one_message_with_what_to_do(
    number: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refused(_: object) -> int:
        raise OSError(number, "as the system says it", "/x")

    monkeypatch.setattr(history_command, "run", refused)
    assert main(["history"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("nightbench: ")
    assert said in told
    assert "Traceback" not in told


def test_an_error_without_a_number_is_told_by_its_words() -> None:
    assert of_the_system(OSError("odd")) == "odd"


@pytest.mark.parametrize("command", [["land"], ["history"], ["sql", "FROM latest"]])
def test_a_home_that_is_a_file_is_one_message(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "home").touch()
    monkeypatch.setenv("NIGHTBENCH_HOME", str(tmp_path / "home"))
    assert main(command) in (1, 2)
    assert str(tmp_path / "home") in capsys.readouterr().err


@pytest.mark.parametrize("command", ["serve", "up", "watch"])
@pytest.mark.parametrize("port", ["0", "-1", "65536", "http", "٣٠٠٠", "1e3"])
def test_a_port_that_is_none_is_told_before_anything_starts(
    command: str, port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if (command, port) == ("watch", "0"):
        pytest.skip("0 is any free one there")
    with pytest.raises(SystemExit) as left:
        main([command, f"--port={port}"])
    assert left.value.code == 2
    assert "1 to 65535" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["history"], ["show", "latest"]])
def test_a_limit_is_a_number_of_one_or_more(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*command, "--limit", "-3"])
    assert "1 or more" in capsys.readouterr().err

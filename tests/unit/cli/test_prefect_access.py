"""The password of the Prefect server that we start, and what is said of it."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nightbench.cli.passwords import Password
from nightbench.cli.prefect_access import (
    PrefectAccess,
    known_auth,
    password_file,
    password_of,
    sign_in_folder,
)
from nightbench.cli.prefect_api import address_file, running_api
from nightbench.cli.ways_in import address, open_to, password_lines
from nightbench.errors import NightbenchError
from nightbench.home.paths import Home
from nightbench.web.listening import is_ours

URL = "http://127.0.0.1:4200"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_the_first_one_makes_a_password_and_the_next_one_finds_it(home: Home) -> None:
    first = password_of(home, {})
    again = password_of(home, {})
    assert first.is_new
    assert not again.is_new
    assert again.auth == first.auth == known_auth(home, {})
    user, _, password = first.auth.partition(":")
    assert user == "nightbench"
    assert len(password) >= 32
    assert password_file(home).stat().st_mode & 0o777 == 0o600
    assert home.prefect.stat().st_mode & 0o777 == 0o700


def test_each_home_has_its_own(home: Home, tmp_path: Path) -> None:
    assert password_of(home, {}).auth != password_of(Home(tmp_path / "other"), {}).auth


def test_of_many_at_once_one_makes_it(home: Home) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: password_of(home, {}), range(32)))
    assert len({password.auth for password in made}) == 1
    assert [password.is_new for password in made].count(True) == 1


@pytest.mark.parametrize("name", ["PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"])
def test_a_password_of_the_environment_goes_first_and_is_not_kept(home: Home, name: str) -> None:
    assert password_of(home, {name: "night:owl"}) == Password("night:owl")
    assert not password_file(home).exists()


@pytest.mark.parametrize("text", ["", "nightbench", ":x", "nightbench:", "a:b\nc:d", "a:\x1b[2J"])
def test_a_file_that_holds_no_password_is_refused_and_named(home: Home, text: str) -> None:
    password_of(home, {})
    password_file(home).write_text(text, encoding="utf-8")
    with pytest.raises(NightbenchError, match="holds no user:password") as refused:
        password_of(home, {})
    assert str(password_file(home)) in str(refused.value)


def test_a_file_that_others_could_read_is_refused_and_not_mended_behind_ones_back(
    home: Home,
) -> None:
    password_of(home, {})
    password_file(home).chmod(0o644)
    for _ in range(2):
        with pytest.raises(NightbenchError, match="accessible to other users"):
            password_of(home, {})


def test_neither_password_nor_access_shows_it() -> None:
    assert "owl" not in repr(Password("night:owl"))
    assert "owl" not in repr(PrefectAccess(URL, "night:owl"))


def told(home: Home, password: Password, *, is_terminal: bool) -> str:
    where = address(URL, sign_in_folder(home), is_terminal=is_terminal)
    return "\n".join((where, *password_lines(password, is_terminal=is_terminal)))


def test_a_terminal_is_told_once_and_signed_in_each_time(home: Home) -> None:
    first = told(home, password_of(home, {}), is_terminal=True)
    again = told(home, password_of(home, {}), is_terminal=True)
    auth = password_of(home, {}).auth
    assert auth in first
    assert auth not in again
    assert f"{URL}/sign-in#" in first
    assert first.splitlines()[0] != again.splitlines()[0]
    assert str(password_file(home)) in again


def test_a_journal_is_told_where_the_password_is_and_no_more(home: Home) -> None:
    password = password_of(home, {})
    said = told(home, password, is_terminal=False)
    assert password.is_new
    assert password.auth not in said
    assert "#" not in said
    assert str(password_file(home)) in said
    assert not sign_in_folder(home).exists()


def test_a_password_of_the_environment_is_never_shown(home: Home) -> None:
    home.prefect.mkdir(parents=True)
    assert "owl" not in told(home, Password("night:owl"), is_terminal=True)


def test_no_password_says_what_that_opens_and_to_whom() -> None:
    assert "Whoever reaches this machine can" in open_to("127.0.0.1", is_loopback=True)
    assert "Whoever reaches 10.0.0.7 can" in open_to("10.0.0.7", is_loopback=False)
    assert "have programs run as this user" in open_to("10.0.0.7", is_loopback=False)


def test_an_address_that_nobody_of_ours_listens_at_is_not_told_our_password(home: Home) -> None:
    """`up` was killed, and somebody else has taken its port."""
    with socket.socket() as ours:
        ours.bind(("127.0.0.1", 0))
        port = ours.getsockname()[1]
        assert not is_ours(f"http://127.0.0.1:{port}/api")
        ours.listen()
        assert is_ours(f"http://127.0.0.1:{port}/api")
    home.prefect.mkdir(parents=True)
    address_file(home).write_text(f"http://127.0.0.1:{port}/api", encoding="utf-8")
    assert running_api(home) is None

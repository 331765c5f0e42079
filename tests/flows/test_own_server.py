"""The Prefect server that `nightbench run` starts for itself is nobody else's."""

from __future__ import annotations

import httpx
import pytest

from nightbench.cli.prefect_access import PrefectAccess, basic
from nightbench.home.paths import Home


def ask(access: PrefectAccess, auth: str | None, **headers: str) -> int:
    return httpx.post(
        f"{access.url}/deployments/filter",
        json={},
        auth=basic(auth),
        headers=headers,
        timeout=30,
        trust_env=False,
    ).status_code


def test_it_answers_the_run_that_has_started_it(prefect_server: PrefectAccess) -> None:
    assert ask(prefect_server, prefect_server.auth) == 200


@pytest.mark.parametrize("auth", [None, "nightbench:wrong", "a:b"])
def test_it_answers_no_other_user_of_the_machine(
    prefect_server: PrefectAccess, auth: str | None
) -> None:
    assert ask(prefect_server, auth) == 401


def test_it_answers_no_page_of_another_origin_and_to_no_other_name(
    prefect_server: PrefectAccess,
) -> None:
    assert ask(prefect_server, prefect_server.auth, origin="http://elsewhere.example") == 403
    assert ask(prefect_server, prefect_server.auth, host="elsewhere.example") == 403


def test_its_password_is_kept_nowhere(prefect_server: PrefectAccess, prefect_home: Home) -> None:
    assert prefect_server.auth is not None
    password = prefect_server.auth.partition(":")[2]
    assert len(password) >= 32
    assert not (prefect_home.prefect / "password").exists()
    files = [path for path in prefect_home.prefect.rglob("*") if path.is_file()]
    assert [path for path in files if password.encode() in path.read_bytes()] == []
    assert prefect_home.prefect.stat().st_mode & 0o777 == 0o700

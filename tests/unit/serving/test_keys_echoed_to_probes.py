"""What a server says when it is asked whether it is ready holds no key of ours, whatever it says;
an engine gets what is named, and tells of no key what it knows."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import httpx
import pytest

from nightbench.endpoint import Endpoint
from nightbench.engines.remote import RemoteEngine
from nightbench.errors import BadInput, EndpointError
from nightbench.home.paths import Home
from nightbench.records import ServerRow
from nightbench.serving import external_api, probing
from nightbench.serving.hardware.gpus import Inventory
from nightbench.serving.hardware.machine import Machine
from nightbench.serving.server import serve
from nightbench.serving.supervise.engine_log import Log
from nightbench.serving.supervise.launcher import Options
from nightbench.suite.models import Target
from tests.security.hostile import WAYS, hostile

KEY = "sk-Canary9fQ2xZ7mLp4vT8wRb6nK3"
ENGINE = Path(__file__).parents[2] / "security" / "echoing_engine.py"


def engine(url: str, **fields: object) -> RemoteEngine:
    given = {"kind": "remote", "base_url": url, "api_key_env": "LOGIN", "max_retries": 0}
    return RemoteEngine.model_validate(given | fields)


@pytest.mark.parametrize("way", WAYS)
def test_a_first_answer_tells_nothing_of_the_key(way: str) -> None:
    with hostile(first=way) as server:
        endpoint = Endpoint(base_url=f"{server.url}/v1", model="m", api_key=KEY)
        told = probing.ask(endpoint, timeout_s=10).detail
    assert not [at for at in range(len(KEY) - 11) if KEY[at : at + 12] in told]
    assert server.carried == []


def test_names_and_versions_that_a_server_gives_hold_no_key() -> None:
    with hostile() as server:
        endpoint = Endpoint(base_url=f"{server.url}/v1", model="", api_key=KEY)
        assert probing.list_models(endpoint) == ["m-***"]
        assert probing.read_version(endpoint, "/version") == "1-***"


def test_a_refusal_holds_no_key_and_nothing_it_came_from() -> None:
    with hostile() as server, pytest.raises(EndpointError, match=r"provided: \*\*\*") as caught:
        external_api.connect(engine(f"{server.url}/v1"), "m", {"LOGIN": KEY})
    assert caught.value.__cause__ is None


def test_a_header_of_a_suite_may_stand_in_the_environment() -> None:
    headers = {"headers": {"X-Gateway-Token": "t ${WORD}"}}
    with hostile(("x-gateway-token",), first="all headers") as server:
        given = engine(f"{server.url}/v1", **headers)
        with pytest.raises(EndpointError, match=r"x-gateway-token: \*\*\*"):
            external_api.connect(given, "m", {"LOGIN": KEY, "WORD": "gate-7Q7Q7Q7Q"})
        with pytest.raises(BadInput, match="WORD, which is not set"):
            external_api.connect(given, "m", {"LOGIN": KEY})


def test_a_key_in_the_place_of_its_variable_is_not_repeated() -> None:
    typed = "hf_9aZ8bY7cX6dW5eV4fU3gT2hS1"
    with pytest.raises(BadInput, match="a variable is not set") as caught:
        external_api.connect(engine("http://h/v1", api_key_env=typed), "m", {})
    assert typed not in str(caught.value)


def test_a_redirect_of_a_first_answer_is_said_and_not_followed() -> None:
    said = pytest.raises(EndpointError, match=r"redirect to .*, not followed")
    with hostile(first="a redirect elsewhere") as server, said:
        external_api.connect(engine(f"{server.url}/v1"), "m", {"LOGIN": KEY})
    assert server.carried == []


def test_an_engine_gets_what_is_named_and_its_log_and_answers_hold_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "pg-canary-7Q7Q7Q7Q")
    monkeypatch.setenv("OTHER_API_KEY", "other-canary-7Q7Q7Q7Q")
    monkeypatch.setenv("LICENCE_TOKEN", "licence-canary-7Q7Q7Q7Q")
    argv = [sys.executable, str(ENGINE), "{port}", str(tmp_path / "told")]
    kind = {"kind": "command", "argv": argv, "pass_env": ["LICENCE_TOKEN"]}
    rows: list[ServerRow] = []
    (tmp_path / "leases").mkdir()
    with serve(
        Target.model_validate({"name": "tells", "served_model_name": "m", "engine": kind}),
        Home(tmp_path),
        base_dir=tmp_path,
        run_dir=tmp_path / "run",
        machine=Machine(inventory=Inventory(), cores=(0,), leases=tmp_path / "leases"),
        on_row=rows.append,
        options=Options(grace_s=1.0),
    ) as server:
        answer = server.endpoint.redact(
            httpx.post(
                f"{server.endpoint.base_url}/chat/completions",
                headers=server.endpoint.request_headers(),
                json={},
                trust_env=False,
            ).text
        )
    told = json.loads((tmp_path / "told").read_text().splitlines()[0])
    assert {"PATH", "NIGHTBENCH_API_KEY", "LICENCE_TOKEN"} <= set(told["names"])
    assert not {"PGPASSWORD", "OTHER_API_KEY"} & set(told["names"])
    log = (tmp_path / "run" / "server-1" / "server.log").read_text()
    assert "LICENCE_TOKEN=***" in log
    for text in (log, answer, repr(rows)):
        assert told["key"] not in text
        assert told["key"].encode().hex() not in text
        assert "licence-canary" not in text
    assert json.loads(rows[0].env)["LICENCE_TOKEN"] == "***"


def test_a_line_that_is_too_long_for_the_log_tells_no_more_of_a_key(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log"), 1 << 20, [KEY])
    for cut in range(len(KEY)):
        log.feed(b"x" * (65537 - cut) + KEY[:cut].encode())
        log.feed(KEY[cut:].encode() + b"\n")
    log.write(log.partial)
    os.close(log.fd)
    text = (tmp_path / "log").read_text()
    assert not [at for at in range(len(KEY) - 11) if KEY[at : at + 12] in text]


def test_bytes_that_are_no_text_stay_in_the_log_as_they_are(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log"), 1 << 20, [KEY, "schlüssel-mit-ü"])
    log.feed(b"\xff\x00 " + KEY.encode() + " schlüssel-mit-ü 三\n".encode())
    os.close(log.fd)
    assert (tmp_path / "log").read_bytes() == b"\xff\x00 *** *** " + "三\n".encode()

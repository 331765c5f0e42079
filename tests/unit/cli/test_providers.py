"""Services that somebody else runs, from the command line and from a suite: keys, rates, names."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from service import Service, service

from nightbench.cli.main import main
from nightbench.engines import providers
from nightbench.engines.providers import Provider
from nightbench.engines.remote import RemoteEngine
from nightbench.errors import EndpointError
from nightbench.serving import external_api
from nightbench.suite.models import Target
from nightbench.untrusted.limits import AnswerLimits

QUESTIONS = [
    {"question": f"q{n}", "A": "1", "B": "2", "C": "3", "D": "4", "answer": "A"} for n in range(6)
]


def engine(server: Service, **fields: object) -> RemoteEngine:
    return RemoteEngine.model_validate({"kind": "remote", "base_url": server.url, **fields})


def connect(server: Service, model: str | None = None, **fields: object) -> list[float]:
    """Connect to it without waiting; the waits there would have been, in seconds."""
    waits: list[float] = []
    endpoint = external_api.connect(
        engine(server, **fields), model, {"KEY": "right"}, sleep=waits.append
    )
    assert endpoint.model in server.models
    return waits


def evaluate(tmp_path: Path, *argv: str) -> int:
    records = "".join(json.dumps(question) + "\n" for question in QUESTIONS)
    (tmp_path / "q.jsonl").write_text(records)
    base = ["eval", "--benchmark", "mcq", "--data", str(tmp_path / "q.jsonl")]
    return main([*base, "--max-concurrency", "3", "--json", str(tmp_path / "o.json"), *argv])


def test_a_provider_is_asked_with_its_key_and_its_only_model_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service(key="right", models=("internlm2.5-latest",)) as server:
        known = Provider(server.url, "INTERNLM_API_KEY")
        monkeypatch.setitem(providers.PROVIDERS, "internlm", known)
        monkeypatch.setenv("INTERNLM_API_KEY", "right")
        assert evaluate(tmp_path, "--provider", "internlm") == 0
    assert {body["model"] for body in server.bodies} == {"internlm2.5-latest"}
    assert json.loads((tmp_path / "o.json").read_text())["accuracy"] == 1.0


def test_a_rate_is_kept_and_what_is_refused_all_the_same_is_asked_again(tmp_path: Path) -> None:
    with service(gap_s=0.1, says_when=True) as server:
        began = time.monotonic()
        argv = ("--base-url", server.url, "--model", "m", "--requests-per-second", "4")
        assert evaluate(tmp_path, *argv) == 0
        assert time.monotonic() - began >= 5 / 4
        assert server.refused == [], "4 a second are fewer than 10"
        server.bodies.clear()
        argv = ("--base-url", server.url, "--model", "m", "--max-retries", "50")
        assert evaluate(tmp_path, *argv) == 0
        assert 429 in server.refused
    result = json.loads((tmp_path / "o.json").read_text())
    assert (result["num_samples"], result["accuracy"]) == (6, 1.0)


def test_retries_are_bounded_as_asked(tmp_path: Path) -> None:
    with service(gap_s=60.0) as server:
        server.accepted_at.append(time.monotonic())
        argv = ("--base-url", server.url, "--model", "m", "--max-retries", "0")
        evaluate(tmp_path, *argv)
        assert len(server.refused) == len(QUESTIONS)


def test_a_rate_of_one_in_six_seconds_is_kept_from_the_first_request_on() -> None:
    with service() as server:
        assert connect(server, requests_per_second=0.16) == [6.25], "models, then an answer"


def test_a_refusal_for_the_rate_is_waited_for_as_long_as_it_says() -> None:
    with service(gap_s=7.0, says_when=True) as server:
        server.accepted_at.append(time.monotonic())
        with pytest.raises(EndpointError, match="limits the rate of requests") as caught:
            connect(server, "m", max_retries=3)
        assert "requests_per_second" in caught.value.hint
        assert server.refused == [429] * 4


def test_a_wrong_key_is_one_message_that_does_not_hold_it() -> None:
    with service(key="other") as server, pytest.raises(EndpointError) as caught:
        connect(server, "m", api_key_env="KEY")
    assert "HTTP 401" in caught.value.message
    assert caught.value.hint == "Check the API key: the variable KEY holds it."
    assert "right" not in caught.value.message


def test_an_unknown_name_is_told_with_those_there_are() -> None:
    many = tuple(f"m{n}" for n in range(12))
    with service(models=many) as server, pytest.raises(EndpointError) as caught:
        connect(server, "nope")
    assert "has no model nope: it lists m0, m1" in caught.value.message
    assert caught.value.message.endswith("m7 and 4 more")


def test_two_models_are_not_chosen_between() -> None:
    with service(models=("a", "b")) as server, pytest.raises(EndpointError) as caught:
        connect(server)
    assert "lists 2 models: a, b" in caught.value.message
    assert "served_model_name (--model)" in caught.value.hint


def test_no_more_is_read_than_a_targets_limits_say() -> None:
    many = tuple(f"m{n}" for n in range(1000))
    with service(models=many) as server:
        target = Target.model_validate(
            {
                "name": "a",
                "engine": {"kind": "remote", "base_url": server.url},
                "limits": {"answer_mb": 2, "model_list_mb": 0.001},
            }
        )
        with pytest.raises(EndpointError, match="the response is larger than"):
            external_api.connect_to(target, {})
        named = target.model_copy(update={"served_model_name": "m1"})
        endpoint = external_api.connect_to(named, {})
    assert endpoint.limits == AnswerLimits(answer_bytes=2_000_000, model_list_bytes=1_000)


def test_limits_are_flags_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with service(answer="A" * 5_000) as server:
        argv = ("--base-url", server.url, "--model", "m")
        assert evaluate(tmp_path, *argv, "--max-answer-mb", "0.001") == 1
        assert json.loads((tmp_path / "o.json").read_text())["num_failed"] == len(QUESTIONS)
        assert evaluate(tmp_path, *argv, "--max-answer-mb", "1") == 0
        assert json.loads((tmp_path / "o.json").read_text())["num_failed"] == 0
    for none in ("0", "-1", "inf", "nan", "many"):
        with pytest.raises(SystemExit):
            evaluate(tmp_path, *argv, "--max-answer-mb", none)
        assert f"expected a number of MB, not '{none}'" in capsys.readouterr().err


def test_an_unknown_provider_is_refused_with_those_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(tmp_path, "--provider", "nobody") == 2
    assert "siliconflow, dashscope, modelscope, xunfei, internlm" in capsys.readouterr().err

"""A process that is started gets what it needs of our environment, and no more."""

from __future__ import annotations

import pytest

from nightbench.errors import BadInput
from nightbench.secrets.child_env import (
    FOR_BOARD,
    FOR_DOCKER,
    FOR_PIP,
    FOR_PREFECT,
    FOR_PREFECT_CLIENTS,
    FOR_PYTHON,
    FOR_SWANLAB,
    engine_environment,
    environment_for,
    left_out,
    past_proxies,
    public_env,
    without_variables,
)

NEEDED = {
    "PATH": "/bin",
    "HOME": "/home/me",
    "LC_ALL": "C.UTF-8",
    "CUDA_HOME": "/cuda",
    "NCCL_DEBUG": "INFO",
    "HF_HOME": "/models",
    "VLLM_LOGGING_LEVEL": "DEBUG",
    "TOKENIZERS_PARALLELISM": "false",
    "LD_LIBRARY_PATH": "/lib",
    "https_proxy": "http://proxy",
    "SSL_CERT_FILE": "/ca.pem",
    "RAY_TMPDIR": "/ray",
}
KEPT_BACK = {
    "PGPASSWORD": "a",
    "OPENAI_API_KEY": "b",
    "HF_TOKEN": "c",
    "VLLM_API_KEY": "d",
    "AWS_SECRET_ACCESS_KEY": "e",
    "AWS_PROFILE": "f",
    "NIGHTBENCH_ALERT_URL": "g",
    "PREFECT_API_AUTH_STRING": "h",
    "SWANLAB_API_KEY": "i",
    "PYTHONPATH": "j",
    "MY_SETTING": "k",
    "HUGGING_FACE_HUB_TOKEN": "l",
}


def test_an_engine_gets_what_engines_need_and_no_key() -> None:
    assert engine_environment(NEEDED | KEPT_BACK) == NEEDED
    assert left_out(NEEDED | KEPT_BACK) == sorted(KEPT_BACK)


def test_a_suite_hands_on_what_it_names_secrets_too() -> None:
    got = engine_environment(NEEDED | KEPT_BACK, ["MY_SETTING", "HF_TOKEN"])
    assert got == NEEDED | {"MY_SETTING": "k", "HF_TOKEN": "c"}
    assert "HF_TOKEN" not in left_out(NEEDED | KEPT_BACK, ["HF_TOKEN", "NOT_SET"])


def test_a_variable_that_is_to_be_handed_on_has_to_be_there() -> None:
    with pytest.raises(BadInput, match="MY_SETTING is not set"):
        engine_environment(NEEDED, ["MY_SETTING"])


@pytest.mark.parametrize(
    ("who", "own"),
    [
        (FOR_PYTHON, {"PYTHONPATH"}),
        (FOR_PIP, {"PIP_INDEX_URL", "DOCKER_HOST"}),
        (FOR_DOCKER, {"DOCKER_HOST"}),
        (FOR_SWANLAB, {"PYTHONPATH", "SWANLAB_API_KEY"}),
        (FOR_BOARD, {"PYTHONPATH"}),
        (FOR_PREFECT, {"PYTHONPATH", "PGPASSWORD", "PREFECT_API_AUTH_STRING"}),
        (FOR_PREFECT_CLIENTS, {"PYTHONPATH", "PREFECT_API_AUTH_STRING"}),
    ],
)
def test_others_get_their_own(who: tuple[str, ...], own: set[str]) -> None:
    further = {"PIP_INDEX_URL": "m", "DOCKER_HOST": "n"}
    secret = KEPT_BACK.keys() | further.keys()
    assert environment_for(who, NEEDED | KEPT_BACK | further).keys() & secret == own


def test_what_is_left_out_by_name_is_left_out_secret_or_not() -> None:
    environ = {"PGPASSWORD": "a", "PREFECT_SERVER_DATABASE_HOST": "b", "PREFECT_API_URL": "c"}
    kept = without_variables(["PGPASSWORD", "PREFECT_SERVER_DATABASE_*"], environ)
    assert kept == {"PREFECT_API_URL": "c"}


def test_what_is_said_to_this_machine_goes_past_every_proxy() -> None:
    proxy = {"HTTPS_PROXY": "http://proxy", "NO_PROXY": "a, 127.0.0.1", "no_proxy": "b"}
    there = past_proxies(proxy, "10.0.0.7")
    assert there == dict.fromkeys(("no_proxy", "NO_PROXY"), "b,a,127.0.0.1,localhost,::1,10.0.0.7")
    assert past_proxies({"all_proxy": "socks5://proxy", "NO_PROXY": "*"}) == {}
    assert past_proxies({"NO_PROXY": "a"}) == {}, "where there is no proxy, nothing is to be said"


def test_what_is_stored_holds_no_secret_and_nothing_that_does_not_matter() -> None:
    env = {
        "VLLM_API_KEY": "canary-1",
        "HF_ENDPOINT": "https://me:canary-2@hub.example",
        "MY_SETTING": "canary-3",
        "TOKENIZERS_PARALLELISM": "false",
        "HOME": "/home/me",
    }
    stored = public_env(env, chosen=["VLLM_API_KEY"], private=["MY_SETTING"])
    assert "canary" not in str(stored)
    assert stored["TOKENIZERS_PARALLELISM"] == "false"
    assert stored["HF_ENDPOINT"] == "https://***@hub.example"
    assert stored["MY_SETTING"] == "***"
    assert "HOME" not in stored

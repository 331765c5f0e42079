"""The bytes of a request."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nightbench.endpoint import Endpoint
from nightbench.errors import BadInput
from nightbench.load.drive.jobs import GeneratorOptions, plan_jobs
from nightbench.load.plan.bodies import Bodies
from nightbench.load.plan.levels import plan_levels
from nightbench.load.plan.request_bytes import address_of, body_of, head_of, write_bodies
from nightbench.load.plan.workloads import Prompts, prompt_hash
from nightbench.suite.models import LoadSpec

SPEC = LoadSpec.model_validate(
    {
        "name": "w",
        "workload": {"kind": "prompt", "prompt": "x"},
        "max_concurrency": 1,
        "num_prompts": 2,
        "warmup_prompts": 1,
        "generation": {"max_tokens": 9, "temperature": 0, "extra_body": {"guided": True}},
    }
)
CONTINUOUS = {"continuous_usage_stats": True}
ENDPOINT = Endpoint(
    base_url="http://10.0.0.1:8000/v1", model="glm", api_key="s3cret", headers=(("X-Team", "a"),)
)


def test_the_body_is_a_streamed_chat_completion_that_asks_for_usage() -> None:
    (level,) = plan_levels(SPEC)
    assert json.loads(body_of(level, "glm", "你好")) == {
        "model": "glm",
        "messages": [{"role": "user", "content": "你好"}],
        "max_tokens": 9,
        "temperature": 0.0,
        "guided": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_without_streaming_nothing_is_said_of_it() -> None:
    (level,) = plan_levels(SPEC, stream=False)
    assert "stream" not in json.loads(body_of(level, "glm", "hi"))


def test_a_template_is_filled_with_the_model_and_the_prompt_wherever_it_says_so() -> None:
    template = '{"model": "%m", "messages": [{"role": "user", "content": "Q: %p"}], "k": 1}'
    (level,) = plan_levels(SPEC, stream=False, query_template=template)
    body = json.loads(body_of(level, "glm", 'is "%m" text?'))
    assert body["model"] == "glm"
    assert body["messages"] == [{"role": "user", "content": 'Q: is "%m" text?'}]
    assert (body["k"], body["max_tokens"]) == (1, 9)


def test_the_head_carries_the_key_and_the_suites_headers() -> None:
    head = head_of(ENDPOINT, address_of(ENDPOINT))
    assert head.startswith("POST /v1/chat/completions HTTP/1.1\r\nHost: 10.0.0.1:8000\r\n")
    assert "Authorization: Bearer s3cret\r\n" in head
    assert "X-Team: a\r\n" in head
    assert head.endswith("Content-Length: ")


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("https://api.example.com/v1", "api.example.com", 443, True),
        ("http://[::1]:80/v1", "::1", 80, False),
        ("http://localhost:1/gateway/v1", "localhost", 1, False),
    ],
)
def test_urls_are_taken_apart(url: str, host: str, port: int, tls: bool) -> None:
    address = address_of(Endpoint(base_url=url, model="m"))
    assert (address.host, address.port, address.tls) == (host, port, tls)
    assert address.path.endswith("/v1/chat/completions")


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://a/v1", "http:///v1"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="not the URL of a server"):
        address_of(Endpoint(base_url=url, model="m"))


def test_a_header_cannot_smuggle_another() -> None:
    for name, value in (("X", "a\r\nEvil: b"), ("X: y", "b"), ("", "b")):
        with pytest.raises(BadInput, match="header '"):
            Endpoint(base_url="http://h/v1", model="m", headers=((name, value),))


def test_a_header_that_http_cannot_carry_is_told_without_its_value() -> None:
    with pytest.raises(BadInput, match=r"Authorization .* U\+201C") as refused:
        Endpoint(base_url="http://h/v1", model="m", api_key="sk-\u201ckey\u201d")
    assert "sk-" not in str(refused.value)


@pytest.mark.parametrize(
    ("asked", "body", "sent"),
    [
        ({}, {}, {"include_usage": True}),
        ({"continuous_usage_stats": True}, {}, {"include_usage": True} | CONTINUOUS),
        (False, {}, None),
        ({}, {"stream_options": None}, None),
        ({}, {"stream_options": CONTINUOUS}, {"include_usage": True} | CONTINUOUS),
        ({}, {"stream_options": {"include_usage": False}}, {"include_usage": False}),
        (False, {"stream_options": CONTINUOUS}, {"include_usage": True} | CONTINUOUS),
    ],
)
def test_what_is_asked_of_the_stream_can_be_extended_and_switched_off(
    asked: dict[str, bool] | bool, body: dict[str, object], sent: dict[str, bool] | None
) -> None:
    fields = SPEC.model_dump() | {"stream_options": asked, "generation": {"extra_body": body}}
    (level,) = plan_levels(LoadSpec.model_validate(fields))
    assert json.loads(body_of(level, "m", "x")).get("stream_options") == sent


def test_an_answer_that_is_not_streamed_is_asked_for_even_of_a_template_that_streams() -> None:
    (level,) = plan_levels(SPEC, stream=False, query_template='{"stream": true, "x": "%p"}')
    body = json.loads(body_of(level, "m", "x"))
    assert (body["stream"], "stream_options" in body) == (False, False)


def test_the_generator_reads_what_was_written(tmp_path: Path) -> None:
    (level,) = plan_levels(SPEC)
    prompts = Prompts(["warm", "一", "two"])
    path = tmp_path / "c1.bodies"
    hashes = write_bodies(level, prompts, "glm", path)
    assert hashes == [prompt_hash(text) for text in prompts.texts]
    head = head_of(ENDPOINT, address_of(ENDPOINT))
    for index, text in enumerate(prompts.texts):
        body = body_of(level, "glm", text)
        expected = f"{head}{len(body)}\r\n\r\n".encode() + body
        assert Bodies(path, head).message(index) == expected


def test_a_job_does_not_show_the_key_that_is_in_its_head() -> None:
    (level,) = plan_levels(SPEC)
    jobs = plan_jobs(level, ENDPOINT, Path("bodies"), GeneratorOptions())
    assert ENDPOINT.api_key in jobs[0].head
    assert ENDPOINT.api_key not in repr(jobs)

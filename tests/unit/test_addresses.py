"""An address means the same wherever it is given: one module reads it and joins what is asked."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightbench.addresses import checked, is_this_machine, joined, root_of, with_api_path


@pytest.mark.parametrize(
    ("given_url", "base", "asked"),
    [
        ("http://h:8000", "http://h:8000/v1", "http://h:8000/v1/models"),
        ("http://h:8000/", "http://h:8000/v1", "http://h:8000/v1/models"),
        ("http://h/v1/", "http://h/v1", "http://h/v1/models"),
        ("https://h/api/v3", "https://h/api/v3", "https://h/api/v3/models"),
        ("http://h/v1beta", "http://h/v1beta", "http://h/v1beta/models"),
        (
            "https://h/openai/deployments/x?api-version=2024-10-21",
            "https://h/openai/deployments/x?api-version=2024-10-21",
            "https://h/openai/deployments/x/models?api-version=2024-10-21",
        ),
        ("http://h?a=b", "http://h/v1?a=b", "http://h/v1/models?a=b"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1", "http://[::1]:8000/v1/models"),
        ("HTTP://H:1/V1", "http://h:1/V1", "http://h:1/V1/models"),
        ("http://h/模型/v1", "http://h/%E6%A8%A1%E5%9E%8B/v1", "http://h/%E6%A8%A1%E5%9E%8B/v1/models"),
        ("http://h/a%2Fb", "http://h/a%2Fb", "http://h/a%2Fb/models"),
        ("http://bücher.example/v1", "http://xn--bcher-kva.example/v1", "http://xn--bcher-kva.example/v1/models"),
        (" http://h/v1 ", "http://h/v1", "http://h/v1/models"),
    ],
)  # fmt: skip
def test_an_address_is_used_as_it_is_given(given_url: str, base: str, asked: str) -> None:
    assert with_api_path(given_url) == base
    assert joined(base, "/models") == joined(base, "models") == asked


@pytest.mark.parametrize(
    "wrong",
    [
        "h:8000/v1",
        "ftp://h/v1",
        "http://",
        "http:///v1",
        "http://h:99999/v1",
        "http://h:0/v1",
        "http://h:80a/v1",
        "http://[::1/v1",
        "http://user:password@h/v1",
        "http://h/v1#top",
        "http://h/v1#",
        "http://h/v1?api_key=abc",
        "http://h/v1?sig=abc",
        "http://h/a b",
        "http://h¯/",
        "http://h/v1\nHost: evil",
        "http://h\t/v1",
    ],
)
def test_what_is_no_address_is_told_and_never_sent(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        checked(wrong)


@given(st.text(max_size=40).map(lambda text: f"http://h{text}") | st.text(max_size=40))
@settings(deadline=None)
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    try:
        base = with_api_path(text)
    except ValueError:
        return
    assert base == with_api_path(base)
    for address in (base, joined(base, "/chat/completions"), root_of(base)):
        assert address.isascii()
        assert not set(address) & set(" \r\n\t")
        urlsplit(address).port  # noqa: B018 - it can be read


def test_the_server_itself_is_above_the_api() -> None:
    assert root_of("http://h/v1") == "http://h"
    assert root_of("http://h/prefix/v1?x=1") == "http://h/prefix"
    assert root_of("http://h/api/v3") == "http://h/api/v3"


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST", "x.localhost", "127.0.0.1", "127.3.2.1", "[::1]", "0.0.0.0"],  # noqa: S104
)
def test_loopback_is_this_machine_by_any_of_its_names(host: str) -> None:
    assert is_this_machine(f"http://{host}:8000/v1")


@pytest.mark.parametrize("host", ["h", "10.0.0.1", "localhost.example.org", "[fe80::1]", "[::1"])
def test_others_are_not(host: str) -> None:
    assert not is_this_machine(f"http://{host}:8000/v1")

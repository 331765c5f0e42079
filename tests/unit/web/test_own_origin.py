"""Whose requests are answered: own names, own pages, and links that a person follows."""

from __future__ import annotations

import pytest

from nightbench.web.own_origin import Headers, OwnNames, refusal

OWN = OwnNames.of(["127.0.0.1"])
HOST = "127.0.0.1:4200"


def headers(host: str = HOST, **others: str) -> Headers:
    given = {"host": host} | {name.replace("_", "-"): value for name, value in others.items()}
    return [(name.encode(), value.encode()) for name, value in given.items()]


@pytest.mark.parametrize(
    "host", ["127.0.0.1:4200", "localhost:4200", "LOCALHOST", "[::1]:4200", "localhost:9999"]
)
def test_this_machine_is_known_by_its_own_names_at_whatever_end_of_a_tunnel(host: str) -> None:
    assert refusal(OWN, "GET", headers(host)) == ""


@pytest.mark.parametrize(
    "host",
    [
        "elsewhere.example",
        "elsewhere.example:4200",
        "127.0.0.1.elsewhere.example:4200",
        "localhost.elsewhere.example",
        "localhost@elsewhere.example",
        "elsewhere.example#localhost",
        "127.0.0.2:4200",
        "10.0.0.7:4200",
        "2130706433:4200",
        "127.0.0.1:4200, elsewhere.example",
        "localhost:4200/x",
        "localhost.",
        "localhost:",
        "[::1",
        "::1",
        "",
    ],
)
def test_another_name_is_not_answered(host: str) -> None:
    assert "not known as" in refusal(OWN, "GET", headers(host))


def test_a_request_says_one_name() -> None:
    assert "not known as" in refusal(OWN, "GET", [])
    twice = [(b"host", HOST.encode()), (b"host", b"elsewhere.example")]
    assert "not known as" in refusal(OWN, "GET", twice)


@pytest.mark.parametrize("origin", ["http://127.0.0.1:4200", "https://127.0.0.1:4200"])
def test_the_servers_own_pages_are_answered(origin: str) -> None:
    assert refusal(OWN, "POST", headers(origin=origin, sec_fetch_site="same-origin")) == ""


@pytest.mark.parametrize(
    "origin",
    [
        "http://elsewhere.example",
        "http://127.0.0.1",
        "http://127.0.0.1:9999",  # another user's server on this machine
        "http://localhost:4200",  # a page asks where it is from
        "http://127.0.0.1:4200.elsewhere.example",
        "http://elsewhere.example/127.0.0.1:4200",
        "http://me@127.0.0.1:4200",
        "file://127.0.0.1:4200",
        "127.0.0.1:4200",
        "null",
        "",
    ],
)
def test_a_page_of_another_origin_is_not_answered(origin: str) -> None:
    assert "another origin" in refusal(OWN, "POST", headers(origin=origin))


def test_a_request_of_another_site_without_an_origin_is_told_by_what_the_browser_adds() -> None:
    image = headers(sec_fetch_site="cross-site", sec_fetch_mode="no-cors", sec_fetch_dest="image")
    frame = headers(sec_fetch_site="same-site", sec_fetch_mode="navigate", sec_fetch_dest="iframe")
    assert "another site" in refusal(OWN, "GET", image)
    assert "another site" in refusal(OWN, "GET", frame)


def test_a_link_in_a_chat_is_followed_and_a_form_is_not() -> None:
    link = headers(
        sec_fetch_site="cross-site", sec_fetch_mode="navigate", sec_fetch_dest="document"
    )
    assert refusal(OWN, "GET", link) == ""
    assert "another site" in refusal(OWN, "POST", link)


def test_a_machine_that_others_reach_is_known_by_its_addresses_and_not_by_any_name() -> None:
    own = OwnNames.of(["10.0.0.7", "first-node"], any_address=True)
    for host in ("10.0.0.7:4200", "192.168.1.4:4200", "[fd00::7]:4200", "First-Node:4200"):
        assert refusal(own, "GET", headers(host)) == ""
    assert "not known as" in refusal(own, "GET", headers("elsewhere.example:4200"))


def test_a_proxys_name_is_allowed_as_host_and_as_the_origin_behind_another_host() -> None:
    own = OwnNames.of([], ["Nights.example.org", "inside:8443"])
    assert refusal(own, "GET", headers("nights.example.org")) == ""
    assert refusal(own, "POST", headers(origin="https://nights.example.org")) == ""
    assert refusal(own, "POST", headers(origin="https://inside:8443")) == ""
    for origin in ("https://nights.example.org:8000", "https://inside", "https://inside:1"):
        assert "another origin" in refusal(own, "POST", headers(origin=origin))

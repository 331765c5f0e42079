"""Proxies are for the world."""

from __future__ import annotations

import httpx
import pytest

from nightbench.proxies import direct_to_this_machine


@pytest.mark.parametrize("name", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("direct", [{}, {"NO_PROXY": "10.0.0.1, [::1]"}, {"no_proxy": "a.example"}])
def test_this_machine_is_never_asked_by_way_of_a_proxy(
    name: str, direct: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {name: "http://proxy.example:9", **direct}
    added = direct_to_this_machine(environ)
    assert added["NO_PROXY"] == added["no_proxy"]
    assert {"127.0.0.1", "localhost", "::1"} <= set(added["NO_PROXY"].split(","))
    for variable, value in (environ | added).items():
        monkeypatch.setenv(variable, value)
    with httpx.Client() as client:
        proxied = client._transport_for_url(httpx.URL("http://other.example/"))
        for url in ("http://127.0.0.1:4200/api", "http://localhost/", "http://[::1]:1/"):
            assert client._transport_for_url(httpx.URL(url)) is not proxied or name == "https_proxy"


def test_a_socks_proxy_leaves_clients_that_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    httpx.Client().close()


def test_our_own_prefect_is_asked_directly_wherever_it_is() -> None:
    added = direct_to_this_machine(
        {"ALL_PROXY": "socks5://p:1", "PREFECT_API_URL": "http://prefect.example:4200/api"}
    )
    assert "prefect.example" in added["NO_PROXY"].split(",")


def test_without_a_proxy_nothing_is_added_and_a_star_stays() -> None:
    assert direct_to_this_machine({"PATH": "/bin", "HTTP_PROXY": ""}) == {}
    assert direct_to_this_machine({"HTTP_PROXY": "http://p", "NO_PROXY": "*"})["no_proxy"] == "*"

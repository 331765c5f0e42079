"""An API that somebody else runs: checked as a server of ours is, never started nor stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import httpx

from nightbench.endpoint import Endpoint
from nightbench.engines import remote
from nightbench.errors import EndpointError
from nightbench.serving import probing
from nightbench.suite import RemoteEngine

FIRST_ANSWER_S = 120.0


def connect(engine: RemoteEngine, model: str | None, environ: Mapping[str, str]) -> Endpoint:
    """The endpoint, once it really answered; its model asked of it where the suite names none.

    Raises BadInput for a key that is not set, EndpointError for everything the API does wrong.
    """
    endpoint = remote.endpoint(engine, model or "", environ)
    with httpx.Client(timeout=10.0) as client:
        if not endpoint.model:
            endpoint = replace(endpoint, model=_first_model(client, endpoint))
        answer = probing.ask(client, endpoint, timeout_s=FIRST_ANSWER_S)
    if not answer.ok:
        raise EndpointError(
            f"{endpoint.base_url} does not answer: {answer.detail}",
            hint=_hint(answer.status, endpoint),
        )
    return endpoint


def _first_model(client: httpx.Client, endpoint: Endpoint) -> str:
    try:
        listed = probing.list_models(client, endpoint)
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        raise EndpointError(
            f"{endpoint.base_url}/models answers HTTP {status}", hint=_hint(status, endpoint)
        ) from error
    except (httpx.HTTPError, ValueError) as error:
        raise EndpointError(
            f"{endpoint.base_url}/models: {error}", hint=_hint(None, endpoint)
        ) from error
    if not listed:
        raise EndpointError(f"{endpoint.base_url} lists no model", hint="Set served_model_name.")
    return listed[0]


def _hint(status: int | None, endpoint: Endpoint) -> str:
    if status in (401, 403):
        return "Check the key: api_key_env names the variable that holds it."
    if status == 404:
        return f"Check base_url and served_model_name ({endpoint.model or 'not set'})."
    return "Check that it runs and that base_url is right."

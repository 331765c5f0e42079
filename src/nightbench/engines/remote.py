"""An API that somebody else runs: only where it is and which key it takes."""

from __future__ import annotations

from collections.abc import Mapping

from nightbench.endpoint import Endpoint
from nightbench.errors import BadInput
from nightbench.suite import RemoteEngine


def endpoint(engine: RemoteEngine, model: str, environ: Mapping[str, str]) -> Endpoint:
    """The endpoint as the suite names it. Raises BadInput where its key is not in `environ`."""
    key = ""
    if engine.api_key_env is not None:
        key = environ.get(engine.api_key_env, "")
        if not key:
            raise BadInput(
                f"the key for {engine.base_url} is not there: {engine.api_key_env} is not set",
                hint=f"export {engine.api_key_env}=… and run again.",
            )
    base_url = engine.base_url if engine.base_url.endswith("/v1") else f"{engine.base_url}/v1"
    return Endpoint(
        base_url=base_url, model=model, api_key=key, headers=tuple(engine.headers.items())
    )

"""An API that somebody else runs: only where it is and which key it takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from nightbench import addresses
from nightbench.endpoint import Endpoint, filled
from nightbench.engines.providers import PROVIDERS
from nightbench.errors import BadInput
from nightbench.secrets.redaction import Redactor
from nightbench.secrets.values import secrets_of_headers, shown_name
from nightbench.suite.engines import RemoteEngine
from nightbench.untrusted.limits import DEFAULT_LIMITS, AnswerLimits


def endpoint(
    engine: RemoteEngine,
    model: str,
    environ: Mapping[str, str],
    limits: AnswerLimits = DEFAULT_LIMITS,
) -> Endpoint:
    """The endpoint as the suite names it. Raises BadInput where its key is not in `environ`."""
    base_url = base_url_of(engine)
    key_env = key_env_of(engine)
    key = environ.get(key_env, "") if key_env else ""
    if key_env and not key:
        raise BadInput(
            f"the key for {base_url} is not there: {shown_name(key_env)} is not set",
            hint=f"export {shown_name(key_env)}=… and run again.",
        )
    return Endpoint(
        base_url=base_url,
        model=model,
        api_key=key,
        headers=tuple((name, filled(text, environ)) for name, text in engine.headers.items()),
        redact=Redactor.from_env(environ),
        limits=limits,
        verify_tls=engine.verify_tls,
    )


def secrets_of_engine(engine: RemoteEngine, environ: Mapping[str, str]) -> set[str]:
    """What is secret because this API is asked with it, whatever its variables are called."""
    known = defaultdict(str, environ)
    headers = [(name, filled(text, known)) for name, text in engine.headers.items()]
    return {environ.get(key_env_of(engine) or "", "")} | secrets_of_headers(headers)


def base_url_of(engine: RemoteEngine) -> str:
    """Where it is, as the suite has it; /v1 is added only where that has no path."""
    base_url = engine.base_url
    if base_url is None:
        if engine.provider is None:
            raise BadInput("engine: expected base_url or provider")
        base_url = PROVIDERS[engine.provider].base_url
    return addresses.with_api_path(base_url)


def key_env_of(engine: RemoteEngine) -> str | None:
    """The variable that holds its key, if it takes one."""
    if engine.api_key_env is not None or engine.provider is None:
        return engine.api_key_env
    return PROVIDERS[engine.provider].api_key_env

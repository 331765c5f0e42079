"""An API that somebody else runs: checked as a server of ours is, never started nor stopped."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from nightbench.endpoint import Endpoint
from nightbench.engines import remote, target_engine
from nightbench.engines.remote import RemoteEngine
from nightbench.errors import BadInput, EndpointError
from nightbench.secrets.values import shown_name
from nightbench.serving import probing
from nightbench.serving.file_locks import Sleep
from nightbench.serving.patience import REMOTE_S, Patience
from nightbench.serving.probing import ProbeResult
from nightbench.suite.models import Target
from nightbench.untrusted.limits import DEFAULT_LIMITS, AnswerLimits

RATE_LIMIT_RETRIES = 3
AT_ONCE = Patience(patience_s=0.0)
UNTIL_RESTARTED = Patience(patience_s=REMOTE_S)
LONGEST_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Pacing:
    """How to ask without being refused for asking too often."""

    gap_s: float
    sleep: Sleep = time.sleep
    retries: int = RATE_LIMIT_RETRIES


def connect_to(
    target: Target,
    environ: Mapping[str, str],
    *,
    sleep: Sleep = time.sleep,
    patience: Patience = UNTIL_RESTARTED,
) -> Endpoint:
    """The endpoint of an attached target, once it really answered. Raises as `connect`."""
    attached = target_engine.remote_of(target)
    if attached is None:
        raise BadInput(f"{target.name} is not an external API")
    if attached is not target.engine:
        # An engine's first answer loads the model: before the clock, and with a boot's patience.
        attached = attached.model_copy(update={"first_answer_timeout_s": target.boot_timeout_s})
    name, limits = target_engine.served_name(target), target.limits.in_bytes()
    return connect(attached, name, environ, limits=limits, sleep=sleep, patience=patience)


def connect(
    engine: RemoteEngine,
    model: str | None,
    environ: Mapping[str, str],
    *,
    limits: AnswerLimits = DEFAULT_LIMITS,
    sleep: Sleep = time.sleep,
    patience: Patience = UNTIL_RESTARTED,
) -> Endpoint:
    """The endpoint, once it really answered; its model asked of it where the suite names none.

    A rate limit is kept here too, a 429 waited for, and for a while a model that is loading. Raises
    BadInput for a key that is not set, EndpointError for everything the API does wrong.
    """
    endpoint = remote.endpoint(engine, model or "", environ, limits)
    rate = engine.requests_per_second
    retries = RATE_LIMIT_RETRIES if engine.max_retries is None else engine.max_retries
    pacing = Pacing(1 / rate if rate else 0.0, sleep, retries)
    if not endpoint.model:
        endpoint = replace(endpoint, model=only_model(endpoint, patience))
        pacing.sleep(pacing.gap_s)
    answer = patience.until_ready(
        lambda: _ask(endpoint, engine.first_answer_timeout_s, pacing), _why_no_answer
    )
    if not answer.ok:
        raise _refusal(endpoint, answer, remote.key_env_of(engine))
    return endpoint


def _ask(endpoint: Endpoint, timeout_s: float, pacing: Pacing) -> ProbeResult:
    """A first answer; where the API limits the rate, asked again when it says."""
    for attempt in range(pacing.retries + 1):
        answer = probing.ask(endpoint, timeout_s=timeout_s)
        if answer.status != 429 or attempt == pacing.retries:
            break
        wait_s = answer.retry_after_s or max(pacing.gap_s, 2.0**attempt)
        pacing.sleep(min(wait_s, LONGEST_WAIT_S))
    return answer


def wait_until_answered(endpoint: Endpoint, patience: Patience) -> None:
    """Wait for a first answer. Raises EndpointError with what the API said instead."""
    pacing = Pacing(0.0, patience.sleep)
    answer = patience.until_ready(
        lambda: _ask(endpoint, max(1.0, patience.patience_s), pacing), _why_no_answer
    )
    if not answer.ok:
        raise _refusal(endpoint, answer, None)


def _why_no_answer(answer: ProbeResult) -> str | None:
    return answer.detail if answer.is_loading else None


def only_model(endpoint: Endpoint, patience: Patience = AT_ONCE) -> str:
    """The one model that the API lists. Raises EndpointError for none, and for several."""
    listed = _list(endpoint, patience)
    if not listed:
        raise EndpointError(f"{endpoint.base_url} lists no model", hint="Set served_model_name.")
    if len(listed) > 1:
        raise EndpointError(
            f"{endpoint.base_url} lists {len(listed)} models: {probing.names(listed)}",
            hint="Choose one: served_model_name (--model).",
        )
    return listed[0]


def _list(endpoint: Endpoint, patience: Patience = AT_ONCE) -> list[str]:
    listed = patience.until_ready(lambda: _try_to_list(endpoint), _why_not_listed)
    if isinstance(listed, probing.NotListed):
        hint = _hint(listed.status, endpoint, None)
        raise EndpointError(str(listed), hint=hint) from None
    return listed


def _try_to_list(endpoint: Endpoint) -> list[str] | probing.NotListed:
    try:
        return probing.list_models(endpoint)
    except probing.NotListed as error:
        return error


def _why_not_listed(found: list[str] | probing.NotListed) -> str | None:
    if isinstance(found, probing.NotListed):
        return str(found) if found.is_loading else None
    return None if found else "no model listed yet"


def _refusal(endpoint: Endpoint, answer: ProbeResult, key_env: str | None) -> EndpointError:
    """Why there was no answer: an unknown model is told with those there are."""
    if answer.status in (400, 404):
        try:
            listed = _list(endpoint)
        except EndpointError:
            listed = []
        if listed and endpoint.model not in listed:
            return EndpointError(
                f"{endpoint.base_url} has no model {endpoint.model}: "
                f"it lists {probing.names(listed)}",
                hint="Set served_model_name to one of them.",
            )
    if answer.status == 429:
        return EndpointError(
            f"{endpoint.base_url} limits the rate of requests: {answer.detail}",
            hint="Set requests_per_second to what it allows (0.16 is one in 6 s), or wait.",
        )
    return EndpointError(
        f"{endpoint.base_url} is not responding: {answer.detail}",
        hint=_hint(answer.status, endpoint, key_env),
    )


def _hint(status: int | None, endpoint: Endpoint, key_env: str | None) -> str:
    if status in (401, 403):
        where = (
            f"the variable {shown_name(key_env)}"
            if key_env
            else "api_key_env names the variable that"
        )
        return f"Check the API key: {where} holds it."
    if status == 404:
        return f"Check base_url and served_model_name ({endpoint.model or 'not set'})."
    return "Check that it is running and that base_url is correct."

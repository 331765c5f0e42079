"""An API that somebody else runs: only where it is and which key it takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from nightbench import addresses
from nightbench.endpoint import Endpoint, filled
from nightbench.engines.adapter import EngineAdapter, Launch, Place
from nightbench.engines.providers import PROVIDERS, ProviderName
from nightbench.engines.wizard import Wizard, WizardAnswers, yaml_scalar
from nightbench.errors import BadInput
from nightbench.secrets.redaction import Redactor
from nightbench.secrets.values import secrets_of_headers, shown_name
from nightbench.suite.engines import EngineConfig, Url, VariableName
from nightbench.suite.types import PositiveFloat, Seconds
from nightbench.untrusted.limits import DEFAULT_LIMITS, AnswerLimits


class RemoteEngine(EngineConfig):
    """An API that somebody else runs: nothing is started or stopped.

    A `provider` is where a known service is and which variable holds its key; what is given beside
    it wins. `${NAME}` in a header stands for what that variable holds. `base_url` is used as it is
    given; only one without a path gets /v1. `verify_tls: false` takes any certificate. One run at a
    time is at an address, unless it is `shared`.
    """

    kind: Literal["remote"]
    provider: ProviderName | None = None
    base_url: Url | None = None
    api_key_env: VariableName | None = None
    requests_per_second: PositiveFloat | None = None
    max_retries: Annotated[int, Field(ge=0)] | None = None
    first_answer_timeout_s: Seconds = 120
    shared: bool = False
    headers: Annotated[dict[str, str], Field(repr=False)] = {}
    verify_tls: bool = True

    @model_validator(mode="after")
    def _somewhere(self) -> RemoteEngine:
        if self.base_url is None and self.provider is None:
            raise ValueError("expected base_url or provider")
        return self


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
            f"no API key for {base_url}: {shown_name(key_env)} is not set",
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


def launch(engine: RemoteEngine, _: Place) -> Launch:
    """There is nothing to start."""
    raise BadInput(f"{base_url_of(engine)} is an external server: there is nothing to start")


def hardware(engine: RemoteEngine) -> str:
    """Whose it is, and which key it takes."""
    key = key_env_of(engine)
    return f"somebody else runs {base_url_of(engine)}" + (f", key in {key}" if key else "")


def wizard_lines(answers: WizardAnswers) -> list[str]:
    """Where it is, and how it may be asked."""
    where = ("provider", answers.provider or "")
    if answers.base_url:
        where = ("base_url", answers.base_url)
    key = answers.api_key_env
    return [
        f"{where[0]}: {yaml_scalar(where[1])}",
        f"api_key_env: {key}" if key else "# api_key_env: NAME_OF_A_VARIABLE",
        "# requests_per_second: 2       an upper limit",
        "# max_retries: 4",
    ]


ENGINE = EngineAdapter(
    kind="remote",
    title="an API",
    config=RemoteEngine,
    command=lambda _engine, _model, _name: (),
    launch=launch,
    attached=lambda engine: engine,
    hardware=hardware,
    needs_model="",
    secrets=secrets_of_engine,
    wizard=Wizard(lines=wizard_lines, is_started=False),
)

"""A suite's `engine:`, whatever its kind: what all engines share, and how a kind is looked up.

What a kind takes is declared by its engine (`nightbench.engines`, or another distribution's).
"""

from __future__ import annotations

import re
from typing import Annotated, Protocol

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    SerializeAsAny,
    model_validator,
)
from pydantic_core import PydanticCustomError

from nightbench import addresses
from nightbench.errors import BadInput, PluginError
from nightbench.plugins import ENGINES
from nightbench.secrets.values import has_userinfo, keys_in_words
from nightbench.suite.types import Scalar, Strict

_IN_AN_ARGUMENT = (
    "expected no key and no password in a program's arguments: every user of this machine "
    "can read it, and it is stored with results. Put it into a variable: env or pass_env"
)


def words_without_keys(words: tuple[str, ...]) -> tuple[str, ...]:
    """For argv. Raises ValueError, without the key."""
    if keys_in_words(words):
        raise ValueError(_IN_AN_ARGUMENT)
    return words


def _args_without_keys(args: dict[str, Scalar | list[Scalar]]) -> dict[str, Scalar | list[Scalar]]:
    for name, value in args.items():
        values = value if isinstance(value, list) else [value]
        words_without_keys(tuple(f"--{name}={one}" for one in values if isinstance(one, str)))
    return args


def _requirement_without_keys(requirement: str) -> str:
    words_without_keys((requirement,))
    return requirement


Args = Annotated[dict[str, Scalar | list[Scalar]], AfterValidator(_args_without_keys)]


def _as_text(value: object) -> object:
    return {k: str(v) for k, v in value.items()} if isinstance(value, dict) else value


def _without_slash(value: object) -> object:
    return value.rstrip("/") if isinstance(value, str) else value


def _without_password(url: str) -> str:
    if has_userinfo(url):
        raise ValueError(
            "expected an address without user and password, which would be stored with results: "
            "name a variable in api_key_env, or give headers such as "
            "{Authorization: 'Basic ${LOGIN}'}; for pip, set PIP_EXTRA_INDEX_URL"
        )
    return url


def _address(url: str) -> str:
    addresses.checked(url)
    return url


def _variable_name(name: str) -> str:
    if not VARIABLE.fullmatch(name):
        raise ValueError("expected the name of an environment variable (not its value)")
    return name


VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
Variables = Annotated[dict[str, str], BeforeValidator(_as_text), Field(repr=False)]
VariableName = Annotated[str, AfterValidator(_variable_name)]
VariableNames = tuple[VariableName, ...]
Url = Annotated[
    str,
    BeforeValidator(_without_slash),
    Field(pattern=r"^https?://"),
    AfterValidator(_without_password),
    AfterValidator(_address),
]


class Environment(Strict):
    """Where an engine's executable comes from: exactly one of the three.

    An `image` is run by `docker run`, its API published on 127.0.0.1 alone.
    """

    requirement: Annotated[str, AfterValidator(_requirement_without_keys)] | None = None
    executable: str | None = None
    image: str | None = None
    extra_index_url: Annotated[str, AfterValidator(_without_password)] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Environment:
        if sum(x is not None for x in (self.requirement, self.executable, self.image)) != 1:
            raise ValueError("expected exactly one of requirement, executable, image")
        if self.extra_index_url is not None and self.requirement is None:
            raise ValueError("extra_index_url needs requirement")
        return self


class ExternalApi(Protocol):
    """What a suite asks of an API that somebody else runs, whatever engine says where it is."""

    @property
    def shared(self) -> bool:
        """Whether several runs may be at it at once."""

    @property
    def requests_per_second(self) -> float | None:
        """How fast it may be asked, where that is limited."""

    @property
    def max_retries(self) -> int | None:
        """How often a failed question is asked again, where that is said."""


class EngineConfig(Strict):
    """A suite's `engine:`. Each kind's own model derives from this one."""

    kind: str


def _of_its_kind(given: object) -> EngineConfig:
    """The config of the kind that is named, read by that kind's own model."""
    if isinstance(given, EngineConfig):
        return given
    kind = given.get("kind") if isinstance(given, dict) else None
    if not isinstance(given, dict):
        raise PydanticCustomError("no_mapping", "expected a mapping with kind and its options")
    if not isinstance(kind, str):
        raise _no_such_kind()
    try:
        config: type[EngineConfig] = ENGINES.find(kind).config
    except PluginError as error:
        raise PydanticCustomError("plugin", "{said}", {"said": error.message}) from error
    except BadInput:
        raise _no_such_kind() from None
    return config.model_validate(given)


def _no_such_kind() -> PydanticCustomError:
    kinds = ", ".join(ENGINES.names())
    return PydanticCustomError("no_such_kind", "kind: expected one of {kinds}", {"kinds": kinds})


# Serialized as what it is, not as the base that is declared.
EngineOfAKind = SerializeAsAny[Annotated[EngineConfig, PlainValidator(_of_its_kind)]]

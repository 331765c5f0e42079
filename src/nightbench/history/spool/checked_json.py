"""JSON files that say themselves whether they are as they were written.

A manifest tells which bytes a Parquet file must have; what tells of the manifest's own? Its last
member, `digest`: of all its others. Those of before have none and are taken as they are.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from nightbench.errors import HistoryError

DIGEST = "digest"
Members = dict[str, Any]
Value = TypeVar("Value")


class NewerFormat(HistoryError):
    """A newer nightbench wrote it. It is kept as it is."""


def signed(members: Members) -> Members:
    """Members with the digest of them."""
    return members | {DIGEST: _digest_of(members)}


def text_of(members: Members) -> str:
    """Members as text: each on a line. (An indent all through would be encoded in Python.)"""
    lines = [f"{json.dumps(name)}: {_encode(value)}" for name, value in sorted(members.items())]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _encode(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def parse_members(content: bytes) -> Members:
    """The members of a JSON object, not yet checked.

    Raises:
        HistoryError: it is none.
    """
    try:
        members = json.loads(content.decode())  # of bytes it would guess at UTF-16 and take it
    except (ValueError, RecursionError) as error:
        raise HistoryError(f"it is not JSON: {error}") from error
    if not isinstance(members, dict):
        raise HistoryError("it is not a JSON object")
    return members


def check_version(members: Members, known: int) -> None:
    """Whether this nightbench knows the schema that something was written under.

    Raises:
        NewerFormat: a newer nightbench wrote it.
        HistoryError: it says of no version.
    """
    version = members.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise HistoryError("it has no valid schema_version")
    if version > known:
        raise NewerFormat(
            f"it has schema version {version}, this nightbench supports {known}",
            hint="It was left unchanged. Upgrade nightbench, then run `nightbench land`.",
        )


def check_digest(members: Members) -> None:
    """Whether they are what was signed.

    Raises:
        HistoryError: something was changed afterwards.
    """
    if DIGEST not in members:
        return
    rest = {name: value for name, value in members.items() if name != DIGEST}
    if members[DIGEST] != _digest_of(rest):
        raise HistoryError("it was changed after it was written: its digest does not match")


def validated(adapter: TypeAdapter[Value], members: Members) -> Value:
    """Members as a value of the adapter's type, strictly.

    Raises:
        HistoryError: one is missing, unknown, or no value of its kind; says which.
    """
    try:
        return adapter.validate_json(json.dumps(members), strict=True)
    except (ValidationError, ValueError) as error:
        if not isinstance(error, ValidationError):
            raise HistoryError(f"it cannot be read: {error}") from error
        said = [f"{'.'.join(map(str, e['loc'])) or 'it'}: {e['msg']}" for e in error.errors()]
        raise HistoryError("; ".join(said[:5])) from error


def _digest_of(members: Members) -> str:
    return hashlib.sha256(_encode(members).encode()).hexdigest()

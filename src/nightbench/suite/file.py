"""Reading suite.yaml: YAML in, `Suite` out, errors that name the file, the key and what fits."""

from __future__ import annotations

import difflib
import hashlib
import itertools
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from nightbench.errors import BadInput, SuiteError
from nightbench.plugins import ENGINES, WORKLOADS
from nightbench.resources import suite_folders
from nightbench.secrets.values import is_secret
from nightbench.suite import bounded_yaml, models
from nightbench.suite.bounded_yaml import MOST_DEPTH, KeyPath
from nightbench.suite.models import Suite, Target

MOST_TARGETS = 1000  # of a matrix
MOST_PROBLEMS = 100  # that are told at once
LONGEST_SHOWN = 200  # characters of a value in a message


@dataclass(frozen=True, slots=True)
class SuiteFile:
    """A suite as it was read: paths in it are relative to `base_dir`, `digest` names its text."""

    path: Path
    digest: str
    suite: Suite
    text: str = field(default="", repr=False)

    @property
    def base_dir(self) -> Path:
        """The folder the suite's relative paths start from."""
        return self.path.parent

    def target(self, name: str) -> Target:
        """The target of that name, or a SuiteError that lists the names there are."""
        for target in self.suite.targets:
            if target.name == name:
                return target
        names = ", ".join(target.name for target in self.suite.targets)
        raise SuiteError(
            str(self.path), [f"targets: no target is named {name!r}; there are {names}"]
        )


def suites_by_name(environ: Mapping[str, str] = os.environ) -> dict[str, Path]:
    """The suites that can be meant by name, in order of name: a person's own before ours."""
    folders = [*reversed(suite_folders(environ))]
    found = {file.stem: file for folder in folders for file in folder.glob("*.yaml")}
    return dict(sorted(found.items()))


def find_suite(suite: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The file that a path, or the name of a suite in NIGHTBENCH_SUITES or of ours, means.

    Raises BadInput with the names there are.
    """
    path = Path(suite)
    if path.is_file():
        return path.absolute()
    named = suites_by_name(environ)
    if suite in named:
        return named[suite]
    raise BadInput(f"there is no suite file {suite}", hint=f"Suites by name: {', '.join(named)}.")


def place_of_suite(name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the suite of that name lies here, or would: in the first folder of suites."""
    there = suites_by_name(environ).get(name)
    return there or suite_folders(environ)[0] / f"{Path(name).name}.yaml"


def read_suite(path: Path) -> SuiteFile:
    """Read and check a suite file. Raises SuiteError with every problem found."""
    try:
        text = bounded_yaml.read_text(path)
    except bounded_yaml.YamlProblem as error:
        raise SuiteError(str(path), [str(error)]) from None
    return suite_of_text(path, text)


def suite_of_text(path: Path, text: str) -> SuiteFile:
    """Check what stands, or stood, in the file at `path`. Raises SuiteError as `read_suite`."""
    try:
        document = bounded_yaml.parse(text)
    except bounded_yaml.YamlProblem as error:
        raise SuiteError(str(path), [str(error)]) from None
    suite = suite_of(document.value, str(path), document.lines)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return SuiteFile(path=path, digest=digest, suite=suite, text=text)


def suite_of(value: object, file: str, lines: Mapping[KeyPath, int] | None = None) -> Suite:
    """A suite of what its file says. Raises SuiteError with every problem found; `lines` says where
    in the file each value stands."""
    if not isinstance(value, dict):
        raise SuiteError(file, ["expected a mapping with name and targets at the top"])
    try:
        return Suite.model_validate(expand_matrix(value))
    except ValidationError as error:
        raise SuiteError(file, _problems(error, lines or {})) from None
    except ValueError as error:
        raise SuiteError(file, [str(error)]) from None


def expand_matrix(raw: dict[str, Any]) -> dict[str, Any]:
    """One target per combination of `matrix`, named after the values that differ.

    Keys are dotted paths inside a target (`engine.environment.requirement`).
    """
    matrix = raw.get("matrix")
    targets = raw.get("targets")
    if not isinstance(matrix, dict) or not matrix or not isinstance(targets, list):
        return raw
    axes = [
        (str(key), values if isinstance(values, list) else [values])
        for key, values in matrix.items()
    ]
    count = math.prod(len(values) for _, values in axes) * len(targets)
    if count > MOST_TARGETS:
        raise ValueError(f"matrix: it expands to {count:,} targets, more than {MOST_TARGETS:,}")
    combinations = list(itertools.product(*(values for _, values in axes)))
    keys = [key for key, _ in axes]
    expanded = [
        _with_values(target, dict(zip(keys, values, strict=True)))
        for target in targets
        if isinstance(target, dict)
        for values in combinations
    ]
    return raw | {"targets": expanded}


def _with_values(target: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    result = target
    for dotted, value in values.items():
        result = _set(result, dotted.split("."), value, dotted)
    suffix = "-".join(_slug(value) for value in values.values())
    return result | {"name": f"{target.get('name')}-{suffix}"}


def _set(tree: dict[str, Any], keys: list[str], value: object, dotted: str) -> dict[str, Any]:
    head, *rest = keys
    if len(rest) > MOST_DEPTH:
        raise ValueError(f"matrix: a key of more than {MOST_DEPTH} parts")
    if not rest:
        return tree | {head: value}
    inner = tree.get(head, {})
    if not isinstance(inner, dict):
        raise ValueError(f"matrix.{dotted}: {head} is {inner!r} in a target, expected a mapping")
    return tree | {head: _set(inner, rest, value, dotted)}


def _slug(value: object) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", str(value)).strip("-") or "x"


def _problems(error: ValidationError, lines: Mapping[KeyPath, int]) -> list[str]:
    details = error.errors(include_url=False)
    told = _telling(details[:MOST_PROBLEMS])
    more = [f"and {len(details) - MOST_PROBLEMS} more"] if len(details) > MOST_PROBLEMS else []
    return list(dict.fromkeys(_describe(detail, lines) for detail in told)) + more


def _telling(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Leave out what only follows from another error of the list."""

    def follows(detail: ErrorDetails) -> bool:
        beneath = any(
            other["loc"][: len(detail["loc"])] == detail["loc"] and other["loc"] != detail["loc"]
            for other in details
        )
        return (detail["type"] == "too_short" and beneath) or (
            detail["type"] == "literal_error" and isinstance(detail["input"], dict)
        )

    return [detail for detail in details if not follows(detail)]


def _describe(detail: ErrorDetails, lines: Mapping[KeyPath, int]) -> str:
    path = _key_path(detail["loc"])
    line = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None)
    where = f"line {line}: " if line else ""
    return f"{where}{_dotted(path)}{_expectation(detail)}"


# pydantic puts the tag or type of the union's member that it tried into an error's place.
_UNION_MEMBERS = {"Environment"}


def _key_path(loc: tuple[str | int, ...]) -> KeyPath:
    path: list[str | int] = []
    for part in loc:
        is_member = part in _UNION_MEMBERS and path and path[-1] == "environment"
        is_type = isinstance(part, str) and ("[" in part or part in ("str", "int", "float", "bool"))
        if not is_member and not is_type:
            path.append(part)
    return tuple(path)


def _dotted(path: KeyPath) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return f"{text.removeprefix('.')}: " if path else ""


def _expectation(detail: ErrorDetails) -> str:
    if detail["type"] == "extra_forbidden":
        return f"unknown key{_did_you_mean(str(detail['loc'][-1]))}"
    if detail["type"] == "missing":
        return "this key is required"
    message = detail["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    given = detail["input"]
    private = any(is_secret(str(part)) or part == "pass_env" for part in detail["loc"])
    private = private or (isinstance(given, str) and "://" in given)  # a key may be in it
    shown = "" if private or isinstance(given, dict | list) else f" (it is {_short(given)})"
    return f"{message.replace('input should be', 'expected')}{shown}"


def _short(given: object) -> str:
    text = repr(given)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def _did_you_mean(key: str) -> str:
    known = {name for model in _models() for name in model.model_fields}
    if key in known:
        return " here: it belongs elsewhere in the suite"
    close = difflib.get_close_matches(key.replace("-", "_"), sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _models() -> Iterator[type[BaseModel]]:
    configs: list[type[BaseModel]] = [
        *(engine.config for engine in ENGINES.usable().values()),
        *(workload.config for workload in WORKLOADS.usable().values()),
    ]
    for module in (models, *(sys.modules[config.__module__] for config in configs)):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, models.Strict):
                yield value

"""The SQL of the history as it lies in sql/: statements, views, checks and named queries."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nightbench.errors import BadInput, HistoryError
from nightbench.resources import sql_dir

_MIGRATION = re.compile(r"^(?P<version>\d{4})_(?P<name>[a-z0-9_]+)\.sql$")
_PARAM = re.compile(
    r"^--\s*param\s+(?P<name>\w+)\s+\((?P<kind>[\w|]+)\)(\s*=\s*(?P<default>[^:]*?))?"
    r"\s*:\s*(?P<what>.+)$"
)


@dataclass(frozen=True, slots=True)
class SqlFile:
    """A file of sql/ by its stem."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    version: int
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named query's parameter; without a default it must be given.

    `kind` is what its values are: a run, target, benchmark, level, a name (of either)
    of the history, a count, a number, or one of several words (`a|b`).
    """

    name: str
    kind: str
    what: str
    default: str | None = None

    @property
    def choices(self) -> tuple[str, ...]:
        """The words it may be; none where it is something else."""
        return tuple(self.kind.split("|")) if "|" in self.kind else ()


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """A question of sql/queries: its first comment says what it answers."""

    name: str
    about: str
    parameters: tuple[Parameter, ...]
    text: str


def statement(name: str) -> str:
    """The text of sql/statements/<name>.sql."""
    return (sql_dir() / "statements" / f"{name}.sql").read_text(encoding="utf-8")


def views() -> list[SqlFile]:
    """The views, in the order in which they can be made."""
    return _files("views")


def checks() -> list[SqlFile]:
    """The checks: each returns a row per thing that is wrong."""
    return _files("checks")


@cache
def migrations() -> tuple[Migration, ...]:
    """All migrations, by version, without a gap.

    Raises:
        HistoryError: the files are misnamed or a number is missing.
    """
    found = []
    for path in sorted((sql_dir() / "migrations").glob("*.sql")):
        match = _MIGRATION.match(path.name)
        if match is None:
            raise HistoryError(f"{path} is not named like 0001_what.sql")
        found.append(
            Migration(int(match["version"]), match["name"], path.read_text(encoding="utf-8"))
        )
    if [m.version for m in found] != list(range(1, len(found) + 1)):
        raise HistoryError(f"{sql_dir() / 'migrations'}: expected 0001, 0002 … without a gap")
    return tuple(found)


def schema_version() -> int:
    """The version of the schema this nightbench writes."""
    return migrations()[-1].version


def queries() -> list[NamedQuery]:
    """All named queries, by name."""
    return [_parse(file) for file in _files("queries")]


def query(name: str) -> NamedQuery:
    """One named query.

    Raises:
        BadInput: there is none of that name; lists those there are.
    """
    known = {q.name: q for q in queries()}
    if name not in known:
        raise BadInput(
            f"there is no query named {name!r}", hint=f"There are: {', '.join(sorted(known))}."
        )
    return known[name]


def _files(folder: str) -> list[SqlFile]:
    paths = sorted((sql_dir() / folder).glob("*.sql"), key=lambda path: path.name)
    return [SqlFile(_stem(path), path.read_text(encoding="utf-8")) for path in paths]


def _stem(path: Path) -> str:
    return path.name.removesuffix(".sql")


def _parse(file: SqlFile) -> NamedQuery:
    about, parameters = [], []
    for line in file.text.splitlines():
        if not line.startswith("--"):
            break
        match = _PARAM.match(line)
        if match is None:
            about.append(line.removeprefix("--").strip())
        else:
            name, kind, what = match["name"], match["kind"], match["what"].strip()
            parameters.append(Parameter(name, kind, what, match["default"]))
    return NamedQuery(file.name, " ".join(about), tuple(parameters), file.text)

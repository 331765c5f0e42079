"""Options and parser names that tutorials use and an engine of today does not have, by version.

Known without the engine, so that a plan can say what is wrong on any machine. What an engine really
takes, it says itself (`nightbench.serving.provision.preflight`): this table does not list what
there is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from nightbench.suite.engines import Args

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    """An option (or, with `value`, one value of it) that is not there from version `since` on, or
    not before version `until`; `instead` is what to write.

    `since` is the first version that is known to be without it: from its release notes, or from its
    own parser (`source`), and so may be later than the change itself.
    """

    option: str
    value: str | None = None
    since: str = ""
    until: str = ""
    instead: str
    source: str

    def applies_to(self, version: Version) -> bool:
        """Whether an engine of this version is without it."""
        if self.since and version >= parse_version(self.since):
            return True
        return bool(self.until) and version < parse_version(self.until)

    def said(self) -> str:
        """`is gone since 0.10.0: write …`."""
        when = f"is gone since {self.since}" if self.since else f"is not there before {self.until}"
        return f"{when}: write {self.instead}"


def gone(since: str, source: str, instead: Mapping[str, str]) -> tuple[Renamed, ...]:
    """Options that are gone since a version, each with what to write."""
    return tuple(
        Renamed(option=option, since=since, instead=other, source=source)
        for option, other in instead.items()
    )


def parse_version(text: str) -> Version:
    """`0.32.0+cpu` as (0, 32, 0): what follows the release is left out."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[+a-z]", text)[0]))


def problems(renamed: Iterable[Renamed], args: Args, *, title: str, version: str) -> Iterator[str]:
    """What of `args` an engine of this version is known not to have, and what to write instead.

    `title` is what people call the engine.
    """
    release = parse_version(version)
    for key, given in args.items():
        entry = find(renamed, key, given, release)
        if entry is not None:
            named = f"{key}: {entry.value}" if entry.value else key
            yield f"engine.args.{named} {entry.said()} ({title} {version}; {entry.source})"


def find(renamed: Iterable[Renamed], key: str, given: object, release: Version) -> Renamed | None:
    """The entry that a key, or the value it was given, falls under."""
    option = key.strip("-").replace("_", "-")
    values = {str(value) for value in given} if isinstance(given, list) else {str(given)}
    for entry in renamed:
        meant = entry.option == option and (entry.value is None or entry.value in values)
        if meant and entry.applies_to(release):
            return entry
    return None

"""What other distributions may add: engines, workloads and benchmarks, by entry points.

Each group has ours, in a module whose `OURS` maps a name to an object (or to where one is,
`module:attribute`), and theirs: entry points of the same group in any installed distribution.
Nothing registers itself when it is imported. Ours are looked at first, so that a suite that uses
nothing else never pays for a search; theirs are loaded one by one, when they are asked for: one
that is broken is in nobody's way who does not use it.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from nightbench.errors import BadInput, PluginError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Extension:
    """Something that another distribution adds: its name, and where that is declared."""

    name: str
    distribution: str  # "acme-nightbench 1.2"
    entry_point: EntryPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(Generic[T]):
    """The things of one kind, by name.

    `ours` is the module that holds our own, `made_of` the class of all of them (both as dotted
    names: nothing is imported before it is asked for), `name_of` what a thing calls itself.
    """

    name: str
    noun: str
    ours: str
    made_of: str
    name_of: Callable[[T], str]

    def our_names(self) -> tuple[str, ...]:
        """The names of our own, in their order."""
        return tuple(self._ours())

    def names(self) -> tuple[str, ...]:
        """All names: ours, then those of other distributions."""
        ours = self.our_names()
        theirs = {extension.name for extension in self.extensions()}
        return (*ours, *sorted(theirs - set(ours)))

    def find(self, name: str) -> T:
        """The thing of that name.

        Raises BadInput with the names there are, PluginError (it names the distribution) where
        what another distribution declares cannot be used.
        """
        ours = self._ours()
        if name in ours:
            found = ours[name]
            return _attribute(found) if isinstance(found, str) else found
        declared = [extension for extension in self.extensions() if extension.name == name]
        if not declared:
            raise self._unknown(name)
        if len(declared) > 1:
            both = " and ".join(extension.distribution for extension in declared)
            raise PluginError(
                f"the {self.noun} {name} is declared twice: by {both}",
                hint="Uninstall one of them.",
            )
        return self._load(declared[0])

    def extensions(self) -> tuple[Extension, ...]:
        """What other distributions declare, by name; nothing of it is loaded."""
        return _extensions(self.name, tuple(sys.path))

    def usable(self) -> dict[str, T]:
        """All of them, loaded, by name; what cannot be used is left out."""
        ours = {name: self.find(name) for name in self.our_names()}
        theirs = [one.name for one in self.extensions() if self.problem(one) is None]
        return ours | {name: self.find(name) for name in theirs}

    def problem(self, extension: Extension) -> str | None:
        """Why an extension cannot be used, None where it can."""
        if extension.name in self._ours():
            return f"not used: {extension.name} is a built-in name"
        try:
            self.find(extension.name)
        except BadInput as error:
            return error.message
        return None

    def _ours(self) -> Mapping[str, T | str]:
        ours: Mapping[str, T | str] = importlib.import_module(self.ours).OURS
        return ours

    def _load(self, extension: Extension) -> T:
        try:
            loaded = extension.entry_point.load()
        except Exception as error:
            raise self._broken(extension, f"{type(error).__name__}: {error}") from error
        if not isinstance(loaded, _attribute(self.made_of)):
            wanted = self.made_of.replace(":", ".")
            raise self._broken(extension, f"it is {type(loaded).__name__}, expected {wanted}")
        found: T = loaded
        if self.name_of(found) != extension.name:
            raise self._broken(extension, f"its name is {self.name_of(found)}")
        return found

    def _broken(self, extension: Extension, why: str) -> PluginError:
        return PluginError(
            f"the {self.noun} {extension.name} of {extension.distribution} cannot be used: "
            f"{extension.entry_point.value}: {why}",
            hint=f"Upgrade or uninstall {extension.distribution.partition(' ')[0]}.",
        )

    def _unknown(self, name: str) -> BadInput:
        names = self.names()
        close = difflib.get_close_matches(name, names, n=1)
        meant = f"Did you mean {close[0]}? " if close else ""
        return BadInput(
            f"there is no {self.noun} named {name!r}", hint=f"{meant}There are {', '.join(names)}."
        )


@functools.cache
def _extensions(group: str, _path: tuple[str, ...]) -> tuple[Extension, ...]:
    found = [Extension(point.name, _described(point), point) for point in entry_points(group=group)]
    return tuple(sorted(found, key=lambda extension: (extension.name, extension.distribution)))


def _described(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"


def _attribute(reference: str) -> Any:
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


# Of what classes they are says `made_of`: suites look engines up whose configurations are made of a
# suite's own classes, so that naming them here would tie all of them into one knot.
ENGINES: Group[Any] = Group(
    name="nightbench.engines",
    noun="engine",
    ours="nightbench.engines",
    made_of="nightbench.engines.adapter:EngineAdapter",
    name_of=lambda engine: engine.kind,
)
WORKLOADS: Group[Any] = Group(
    name="nightbench.workloads",
    noun="workload",
    ours="nightbench.load.plan.built_in_workloads",
    made_of="nightbench.load.plan.workload_type:WorkloadType",
    name_of=lambda workload: workload.kind,
)
BENCHMARKS: Group[Any] = Group(
    name="nightbench.benchmarks",
    noun="benchmark",
    ours="nightbench.accuracy.benchmarks",
    made_of="nightbench.accuracy.benchmark:Benchmark",
    name_of=lambda benchmark: benchmark.name,
)
GROUPS: tuple[Group[Any], ...] = (ENGINES, WORKLOADS, BENCHMARKS)

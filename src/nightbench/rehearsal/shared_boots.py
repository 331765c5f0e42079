"""Targets whose rehearsals would boot the very same server share it: booting takes the longest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nightbench.rehearsal.deriving import Notes, Small

# What makes another server of a target.
_SERVER = ("model", "served_model_name", "engine")


@dataclass(frozen=True, slots=True)
class SharedBoot:
    """A target of the rehearsal's own suite, and the targets it stands for, each as a person knows
    it."""

    target: dict[str, Any]
    stands_for: list[str] = field(default_factory=list)
    notes: Notes = field(default_factory=Notes)

    @property
    def name(self) -> str:
        """What it is called in the results."""
        return str(self.target["name"])


def boots(small: Sequence[Small]) -> list[SharedBoot]:
    """The servers to be booted, in the order of the targets: the same model, name, engine and
    arguments are one server, which is asked what all of its targets ask."""
    several = len({one.suite for one in small}) > 1
    found: dict[str, SharedBoot] = {}
    for one in small:
        server = json.dumps([one.target[key] for key in _SERVER], sort_keys=True)
        if server not in found:
            taken = {boot.name for boot in found.values()}
            named = {"name": _distinct(one.name, taken), "accuracy": [], "load": []}
            found[server] = SharedBoot(one.target | named)
        boot = found[server]
        boot.stands_for.append(f"{one.suite}: {one.name}" if several else one.name)
        _add(boot, one)
    return list(found.values())


def _add(boot: SharedBoot, one: Small) -> None:
    """What one more target asks, and what was changed for it, each once."""
    target = boot.target
    for key in ("boot_timeout_s", "hang_timeout_s"):
        target[key] = max(target[key], one.target[key])
    asked = {_label(spec) for spec in target["accuracy"]}
    for spec in one.target["accuracy"]:
        if spec not in target["accuracy"]:
            label = _distinct(_label(spec), asked)
            renamed = {} if label == _label(spec) else {"name": label}
            target["accuracy"].append(spec | renamed)
            asked.add(label)
    names = {load["name"] for load in target["load"]}
    for load in one.target["load"]:
        if load not in target["load"]:
            target["load"].append(load | {"name": _distinct(load["name"], names)})
            names.add(target["load"][-1]["name"])
    for said, more in (
        (boot.notes.stood_in, one.notes.stood_in),
        (boot.notes.left_out, one.notes.left_out),
    ):
        said += [line for line in more if line not in said]


def _label(spec: dict[str, Any]) -> str:
    """What the results call a benchmark: its own name in the suite, or the benchmark's."""
    return str(spec.get("name") or spec["benchmark"])


def _distinct(name: str, taken: set[str]) -> str:
    """The name, numbered where it is taken."""
    numbered = (f"{name[:76]}-{n}" for n in range(2, len(taken) + 3))
    return name if name not in taken else next(n for n in numbered if n not in taken)

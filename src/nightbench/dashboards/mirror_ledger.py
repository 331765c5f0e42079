"""Which runs a dashboard has, and how each suite wants to be shown: small JSON beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from nightbench.home.private_files import make_private
from nightbench.suite.models import SwanlabSettings


@dataclass(slots=True)
class MirrorLedger:
    """What was mirrored. The dashboard itself can be deleted with it and made again."""

    path: Path
    mirrored: dict[str, list[str]] = field(default_factory=dict)  # mode → run ids
    settings: dict[str, SwanlabSettings] = field(default_factory=dict)  # suite → settings
    # mode/project → targets whose series over nights lack a night that is mirrored
    behind: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> MirrorLedger:
        """The ledger as it is on disk; empty where there is none or it is damaged."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            settings = {k: SwanlabSettings(**v) for k, v in raw["settings"].items()}
            mirrored = {k: list(v) for k, v in raw["mirrored"].items()}
            return cls(path, mirrored, settings, raw.get("behind", {}))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls(path)  # everything is mirrored again, which changes nothing

    def has(self, mode: str, run_id: str) -> bool:
        """Whether this run is shown there."""
        return run_id in self.mirrored.get(mode, [])

    def add(self, mode: str, run_id: str, *, project: str, targets: Iterable[str]) -> None:
        """Note a run that is now shown, and that the series of its targets are behind it."""
        if not self.has(mode, run_id):
            self.mirrored.setdefault(mode, []).append(run_id)
        series = self.behind.setdefault(f"{mode}/{project}", [])
        series += [target for target in targets if target not in series]
        self.write()

    def drop(self, mode: str, run_id: str) -> None:
        """Note that a run is about to be drawn again: killed on the way, it is shown no more."""
        if self.has(mode, run_id):
            self.mirrored[mode].remove(run_id)
            self.write()

    def forget_runs(self, run_ids: Iterable[str]) -> None:
        """Note that runs are shown nowhere on this machine any more, and are not waited for."""
        gone = set(run_ids)
        self.mirrored = {
            mode: [one for one in shown if one not in gone] for mode, shown in self.mirrored.items()
        }
        self.write()

    def series_behind(self, mode: str, project: str) -> tuple[str, ...]:
        """Targets whose series over nights are to be drawn again."""
        return tuple(self.behind.get(f"{mode}/{project}", ()))

    def projects_behind(self, mode: str) -> tuple[str, ...]:
        """Projects with such series: a mirror was interrupted before it came to them."""
        of_mode = (key.partition("/") for key, targets in self.behind.items() if targets)
        return tuple(project for of, _, project in of_mode if of == mode)

    def caught_up(self, mode: str, project: str, target: str) -> None:
        """Note that a target's series is drawn."""
        self.behind[f"{mode}/{project}"].remove(target)
        self.write()

    def forget(self, mode: str) -> None:
        """Note that nothing is shown there any more."""
        self.mirrored.pop(mode, None)
        self.behind = {k: v for k, v in self.behind.items() if not k.startswith(f"{mode}/")}
        self.write()

    def settings_of(self, suite: str) -> SwanlabSettings:
        """How the suite's last run wanted to be shown."""
        return self.settings.get(suite, SwanlabSettings())

    def remember(self, suite: str, settings: SwanlabSettings) -> None:
        """Keep how a suite wants to be shown, for resyncing without it."""
        self.settings[suite] = settings
        self.write()

    def write(self) -> None:
        """To disk, whole or not at all."""
        members = {
            "mirrored": self.mirrored,
            "settings": {k: v.model_dump() for k, v in self.settings.items()},
            "behind": self.behind,
        }
        make_private(self.path.parent)
        aside = self.path.with_name(f".{self.path.name}.{os.getpid()}.new")
        aside.write_text(json.dumps(members, indent=1), encoding="utf-8")
        aside.rename(self.path)

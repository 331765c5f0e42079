"""Which runs a dashboard has, and how each suite wants to be shown: small JSON beside it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from nightbench.suite import SwanlabSettings


@dataclass(slots=True)
class MirrorLedger:
    """What was mirrored. The dashboard itself can be deleted with it and made again."""

    path: Path
    mirrored: dict[str, list[str]] = field(default_factory=dict)  # mode → run ids
    settings: dict[str, SwanlabSettings] = field(default_factory=dict)  # suite → settings

    @classmethod
    def read(cls, path: Path) -> MirrorLedger:
        """The ledger as it is on disk; empty where there is none or it is damaged."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            settings = {k: SwanlabSettings(**v) for k, v in raw["settings"].items()}
            return cls(path, {k: list(v) for k, v in raw["mirrored"].items()}, settings)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls(path)  # everything is mirrored again, which changes nothing

    def has(self, mode: str, run_id: str) -> bool:
        """Whether this run is shown there."""
        return run_id in self.mirrored.get(mode, [])

    def add(self, mode: str, run_id: str) -> None:
        """Note a run that is now shown."""
        if not self.has(mode, run_id):
            self.mirrored.setdefault(mode, []).append(run_id)
        self.write()

    def forget(self, mode: str) -> None:
        """Note that nothing is shown there any more."""
        self.mirrored.pop(mode, None)
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
        }
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = self.path.with_name(f".{self.path.name}.{os.getpid()}.new")
        aside.write_text(json.dumps(members, indent=1), encoding="utf-8")
        aside.rename(self.path)

"""Where the parts of a history lie in its folder."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from nightbench.home.paths import Home
from nightbench.home.private_files import GroupAccess, make_private


@dataclass(frozen=True, slots=True)
class HistoryPlaces:
    """`history.duckdb` is the published copy everybody reads; `landing.duckdb` is written by the
    lander alone; `nights/` keeps the landed folders, whose bulky files the views read in place."""

    root: Path
    group: str = ""  # whose members may read what has landed

    @classmethod
    def of(cls, home: Home) -> HistoryPlaces:
        """The places of a home."""
        return cls(home.history, home.group)

    @property
    def readers(self) -> GroupAccess:
        """Who may read besides the owner. Raises BadInput where there is no such group."""
        return GroupAccess.of(self.group)

    @property
    def published(self) -> Path:
        """What readers open."""
        return self.root / "history.duckdb"

    @property
    def landing(self) -> Path:
        """What the lander writes."""
        return self.root / "landing.duckdb"

    @property
    def lock(self) -> Path:
        """Held while landing, publishing, compacting or rebuilding."""
        return self.root / "landing.lock"

    @property
    def passes(self) -> Path:
        """What the last landing wrote down for the next one (see `passes`)."""
        return self.root / "passes.json"

    @property
    def nights(self) -> Path:
        """Landed folders, one folder per night."""
        return self.root / "nights"

    def kept(self, night: date, run_id: str, target: str) -> Path:
        """Where a landed spool folder stays."""
        return self.night(night) / run_id / target

    def night(self, night: date) -> Path:
        """The folder of a night; its name is what DuckDB prunes by."""
        return self.nights / f"night={night.isoformat()}"

    def make(self) -> None:
        """The folders, readable for their owner only."""
        make_private(self.root)
        make_private(self.nights)

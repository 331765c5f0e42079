"""Where nightbench keeps its state: one folder, `NIGHTBENCH_HOME`, `.nightbench` unless said."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nightbench.errors import BadInput
from nightbench.home.safety import refuse_unsafe

_PATTERN = "*?[="  # DuckDB reads paths as patterns, and `name=value` in them as columns


@dataclass(frozen=True, slots=True)
class Home:
    """The folders of one installation. Nothing is created until it is needed.

    `group`: whose members may read the history; "" is nobody but the owner.

    Raises:
        BadInput: the path has a character that the history's database would not take as it is.
    """

    root: Path
    group: str = ""

    def __post_init__(self) -> None:
        found = sorted(set(_PATTERN) & set(str(self.root)))
        if found:
            raise BadInput(
                f"nightbench cannot keep its files in {self.root}: DuckDB reads"
                f" {' and '.join(found)} in a path as a glob",
                hint="Set NIGHTBENCH_HOME to a folder without these characters.",
            )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Home:
        """The home the environment names, else `.nightbench` in the working directory.

        Raises:
            BadInput: what lies there may be another user's doing.
        """
        named = environ.get("NIGHTBENCH_HOME")
        home = cls(
            Path(named or ".nightbench").absolute(), environ.get("NIGHTBENCH_GROUP", "").strip()
        )
        refuse_unsafe(home.root, named=bool(named), environ=environ)
        return home

    @property
    def history(self) -> Path:
        """The DuckDB file, its published copy and the Parquet facts."""
        return self.root / "history"

    @property
    def spool(self) -> Path:
        """What runs wrote and the history has not taken yet."""
        return self.root / "spool"

    @property
    def engines(self) -> Path:
        """Engine environments, one folder per recipe."""
        return self.root / "engines"

    @property
    def models(self) -> Path:
        """Models that nightbench converted or fetched."""
        return self.root / "models"

    @property
    def logs(self) -> Path:
        """Server logs, one folder per run."""
        return self.root / "logs"

    @property
    def dashboards(self) -> Path:
        """SwanLab's local store and the reports."""
        return self.root / "dashboards"

    @property
    def prefect(self) -> Path:
        """Prefect's own home: its database and settings."""
        return self.root / "prefect"

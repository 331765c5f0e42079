"""Where SwanLab keeps what it shows, and which SwanLab that is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from nightbench.home.paths import Home

LOCK_S = 60.0
Mode = Literal["local", "offline", "online", "disabled"]


def mode_of(environ: Mapping[str, str]) -> Mode:
    """SwanLab's own SWANLAB_MODE where set; else its cloud where there is a key; else local."""
    asked = environ.get("SWANLAB_MODE", "").strip().lower()
    if asked in ("local", "offline", "disabled"):
        return asked  # type: ignore[return-value]
    if asked in ("cloud", "online") or environ.get("SWANLAB_API_KEY"):
        return "online"
    return "local"


def store_of(home: Home, project: str) -> Path:
    """Where SwanLab keeps a project on this machine (its local store holds one project each)."""
    return home.dashboards / "swanlab" / project


def stores_in(home: Home) -> list[Path]:
    """Every project's."""
    return sorted(path for path in (home.dashboards / "swanlab").glob("*") if path.is_dir())


def ledger_path(home: Home) -> Path:
    """Which runs are shown where."""
    return home.dashboards / "swanlab.json"


def lock_path(home: Home) -> Path:
    """Held by whoever changes what SwanLab keeps."""
    return home.dashboards / "swanlab.lock"


def log_path(home: Home) -> Path:
    """What SwanLab printed."""
    return home.dashboards / "swanlab.log"


def board_settings(home: Home, store: Path) -> dict[str, str]:
    """The environment in which a local store is served."""
    return {
        "SWANLAB_LOG_DIR": str(store),
        "SWANLAB_SAVE_DIR": str(home.dashboards / "swanlab-home"),
    }

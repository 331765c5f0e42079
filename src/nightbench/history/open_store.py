"""The one place that says which store keeps the history of a home."""

from __future__ import annotations

from nightbench.history.store import HistoryStore
from nightbench.home.paths import Home


def open_store(home: Home) -> HistoryStore:
    """The store of a home. Nothing is opened or created yet."""
    from nightbench.history.duckdb_files.files_store import DuckdbFiles

    return DuckdbFiles(home)

"""The history: what runs measured, spooled, landed, and asked about.

import nightbench.history
history = nightbench.history.open()
history.query("trend", target="starter", metric="accuracy")
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightbench.history.reading import History


def open(home: Path | None = None) -> History:  # noqa: A001  (reads well as nightbench.history.open)
    """The published history of a home (else of `NIGHTBENCH_HOME`), read-only. For notebooks.

    Raises:
        HistoryError: nothing has landed yet, or the file cannot be read.
    """
    from nightbench.history.reading import open_history
    from nightbench.home.paths import Home

    return open_history(Home(home.absolute()) if home is not None else Home.from_env())

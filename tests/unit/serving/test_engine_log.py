"""What an engine prints is redacted, wherever its output is cut into writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightbench.secrets.redaction import SHORTEST_PART
from nightbench.serving.supervise.engine_log import Log

SECRET = "sk-abcdefghij0123456789"


@pytest.mark.parametrize("at", range(1, len(SECRET), 3))
def test_a_key_on_the_edge_of_a_line_without_end_is_hidden_whole(at: int, tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log"), 1 << 20, [SECRET])
    log.feed(b"x" * (65_540 - at) + SECRET[:at].encode())
    log.feed(SECRET[at:].encode() + b"\n")
    log.write(log.partial)
    text = (tmp_path / "log").read_text()
    assert "***" in text
    parts = {SECRET[n : n + SHORTEST_PART] for n in range(len(SECRET) - SHORTEST_PART + 1)}
    assert not [part for part in parts if part in text]

"""Each fault gets a scene of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scene import Scene

from nightbench.home import Home
from nightbench.serving import processes
from nightbench.serving.machine import Machine


@pytest.fixture
def scene(
    tmp_path: Path,
    engine_home: Home,
    private_machine: Machine,
    tiny_llama: Callable[[int], Path],
) -> Iterator[Scene]:
    """A scene with the tiny model; whatever a test does, nothing may be left."""
    scene = Scene(tmp_path, engine_home, private_machine, tiny_llama(64))
    yield scene
    left = [pid for pid, start in scene.seen.items() if processes.is_same(pid, start)]
    processes.kill_all(left)
    assert left == []

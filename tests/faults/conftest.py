"""Each fault gets a scene of its own, on hardware that all of them lease from one folder: what one
case left behind would be in the next one's way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from night import Night
from scene import Scene

from nightbench.cli.prefect_access import PrefectAccess
from nightbench.home.paths import Home
from nightbench.serving import processes
from nightbench.serving.hardware.machine import Machine


@pytest.fixture(scope="session")
def leases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The leases of all faults."""
    return tmp_path_factory.mktemp("leases")


@pytest.fixture
def scene(
    tmp_path: Path,
    engine_home: Home,
    private_machine: Machine,
    leases: Path,
    tiny_llama: Callable[[int], Path],
) -> Iterator[Scene]:
    """A scene with the tiny model; whatever a test does, nothing may be left, and the next server
    starts at once."""
    scene = Scene(tmp_path, engine_home, private_machine, leases, tiny_llama(64))
    yield scene
    left = [pid for pid, start in scene.seen.items() if processes.is_same(pid, start)]
    processes.kill_all(left)
    assert left == []
    scene.assert_the_next_one_serves()


@pytest.fixture
def night(scene: Scene, engine_home: Home, prefect_server: PrefectAccess) -> Iterator[Night]:
    """A night to be ended badly, gone when the test is."""
    night = Night(scene, engine_home, prefect=prefect_server)
    yield night
    night.kill()
    scene.assert_all_gone()


@pytest.fixture
def night_with_its_own_prefect(
    scene: Scene, engine_home: Home, give_database: Callable[[Home], None]
) -> Iterator[Night]:
    """A night that starts a Prefect server, as on a fresh machine."""
    night = Night(scene, engine_home)
    give_database(Home(night.home))
    yield night
    night.kill()
    scene.assert_all_gone()

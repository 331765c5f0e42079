"""What several folders of tests share, made once: a home with a real engine and a real model, and
a Prefect server with its database."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings

from nightbench.cli.prefect_access import PrefectAccess
from nightbench.home.paths import Home
from nightbench.serving.hardware.machine import Machine, this_machine
from nightbench.serving.provision.environments import EngineEnvironment
from nightbench.serving.server import Server
from nightbench.suite.models import Target

REPOSITORY = Path(__file__).resolve().parents[1]
BUILTIN_MODEL = "builtin:smollm2-135m-instruct"
SMOLLM2 = Target.model_validate(
    {
        "name": "smollm2",
        "model": BUILTIN_MODEL,
        "served_model_name": "smollm2",
        "boot_timeout_s": 300,
        "engine": {
            "kind": "vllm",
            "args": {"dtype": "float32", "enforce-eager": True, "max-model-len": 4096},
        },
    }
)

# How long an example takes says how busy the machine is, not whether a claim holds.
# NIGHTBENCH_EXAMPLES makes a fuzz of every claim that is stated over drawn examples.
settings.register_profile(
    "nightbench", deadline=None, max_examples=int(os.environ.get("NIGHTBENCH_EXAMPLES", "100"))
)
settings.load_profile("nightbench")

EMPTY_DATABASE = "empty.db"


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    """A command that runs in this process sets it for good, as it should in its own."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def engine_home() -> Home:
    """Where engines and models are kept between sessions: NIGHTBENCH_TEST_HOME, else the
    checkout's own home, so that `make test` uses what `make nightly` has built."""
    return Home(Path(os.environ.get("NIGHTBENCH_TEST_HOME") or REPOSITORY / ".nightbench"))


@pytest.fixture(scope="session")
def engine_environment(engine_home: Home) -> EngineEnvironment:
    """The real engine of this machine, built now if it was not."""
    from nightbench.serving.provision import environments

    return environments.ensure(
        "auto", engine_home, on_progress=print, has_gpu=this_machine().has_gpu
    )


@pytest.fixture(scope="session")
def builtin_model(engine_home: Home, engine_environment: EngineEnvironment) -> Path:
    """SmolLM2-135M-Instruct, converted."""
    from nightbench.serving.provision import models

    return models.resolve(
        BUILTIN_MODEL, engine_home, engine_environment, REPOSITORY, on_progress=print
    )


@pytest.fixture(scope="session")
def run_in_engine(engine_environment: EngineEnvironment) -> Callable[..., str]:
    """Run a script of tests/engines in the engine's environment; its stdout."""

    def run(script: str, *arguments: str, stdin: str = "") -> str:
        path = REPOSITORY / "tests" / "engines" / script
        done = subprocess.run(
            [str(engine_environment.python), "-W", "ignore", str(path), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.defpath, "HF_HUB_OFFLINE": "1", "VLLM_TARGET_DEVICE": "cpu"},
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run


@pytest.fixture(scope="session")
def tiny_llama(
    run_in_engine: Callable[..., str],
    builtin_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[int], Path]:
    """The folder of a Llama with random weights and the given head_dim, made once each."""
    folder = tmp_path_factory.mktemp("tiny")

    def make(head_dim: int) -> Path:
        model = folder / f"llama-{head_dim}"
        if not model.exists():
            run_in_engine("make_tiny_llama.py", str(builtin_model), str(model), str(head_dim))
        return model

    return make


@pytest.fixture(scope="session")
def private_machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """This machine with leases of its own: a server kept for a whole session must not make the
    others of the session wait for ever."""
    return replace(this_machine(), leases=tmp_path_factory.mktemp("leases"))


@pytest.fixture(scope="session")
def smollm2() -> Target:
    """The real model on the real engine, as a target."""
    return SMOLLM2


@pytest.fixture(scope="module")
def smollm2_server(
    engine_home: Home,
    builtin_model: Path,
    private_machine: Machine,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """Real vLLM with a real model, booted once for all of a module that only asks it things; gone
    before the next module measures anything. In its development mode: its cache can be emptied."""
    from nightbench.serving.server import serve

    engine = SMOLLM2.engine.model_copy(update={"env": {"VLLM_SERVER_DEV_MODE": "1"}})
    with serve(
        SMOLLM2.model_copy(update={"engine": engine}),
        engine_home,
        base_dir=REPOSITORY,
        run_dir=tmp_path_factory.mktemp("smollm2"),
        machine=private_machine,
        on_progress=print,
    ) as server:
        yield server
        server.check()


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home whose Prefect database is made: its migrations take longer than a night here."""
    return Home(tmp_path_factory.mktemp("prefect"))


@pytest.fixture(scope="session")
def prefect_server(prefect_home: Home) -> Iterator[PrefectAccess]:
    """A Prefect API for all nights that are not about Prefect's server."""
    from nightbench.cli.prefect_api import prefect_api

    with prefect_api(prefect_home, environ=os.environ | {"PREFECT_API_URL": ""}) as access:
        _back_up(prefect_home.prefect / "prefect.db", prefect_home.prefect / EMPTY_DATABASE)
        yield access


@pytest.fixture(scope="session")
def give_database(prefect_home: Home, prefect_server: PrefectAccess) -> Callable[[Home], None]:
    """Gives a home a Prefect database after its migrations, and empty."""

    def give(home: Home) -> None:
        home.prefect.mkdir(parents=True)
        _back_up(prefect_home.prefect / EMPTY_DATABASE, home.prefect / "prefect.db")

    return give


def _back_up(made: Path, copy: Path) -> None:
    with closing(sqlite3.connect(made)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)

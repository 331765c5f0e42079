"""Engine environments: one virtual environment per recipe, built once, never left half built.

A virtual environment knows its own path, so it is built where it will stay. What makes it count is
`ready.json`, renamed into place as the very last step: a folder without one is the remains of a
build that was killed, and is removed. One lock per key: a second builder waits for the first.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from nightbench.engines.adapter import Flavour
from nightbench.errors import BadInput, EngineEnvironmentError, NightbenchError
from nightbench.home.kept_runs import RunRetention
from nightbench.home.paths import Home
from nightbench.home.private_files import make_private
from nightbench.progress import OnProgress, Progress
from nightbench.secrets.child_env import FOR_PIP, environment_for
from nightbench.secrets.redaction import Redactor
from nightbench.serving import images
from nightbench.serving.file_locks import locked
from nightbench.serving.processes import descendants, kill_all
from nightbench.serving.provision import environment_retention, recipes
from nightbench.serving.provision.recipes import Recipe
from nightbench.suite.engines import Environment

TAIL_LINES = 15
Say = Callable[[str, int | None, int | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEnvironment:
    """An engine that is ready to be started. `cache` is where it may keep what it compiles."""

    key: str
    flavour: Flavour
    executable: Path
    python: Path | None = None  # None where a suite brought its own executable
    version: str | None = None
    torch_version: str | None = None
    cache: Path | None = None
    image: str | None = None  # its executable is docker, then
    image_digest: str | None = None
    store: Path | None = None  # where Ollama keeps its models


def ensure(
    environment: Environment | Literal["auto"],
    home: Home,
    *,
    on_progress: OnProgress,
    has_gpu: bool,
    kind: str = "vllm",
) -> EngineEnvironment:
    """The environment a suite asks for, built now (or, an image, pulled) if it is not there.

    Raises BadInput for an executable that is not there, EngineEnvironmentError for a failed build.
    """
    flavour: Flavour = "cuda" if has_gpu else "cpu"
    if environment != "auto" and environment.image is not None:
        return of_image(environment.image, home, flavour, on_progress)
    if environment != "auto" and environment.executable is not None:
        return _of_executable(environment.executable, flavour)
    recipe = recipes.choose(environment, has_gpu=has_gpu, kind=kind)
    return build(recipe, home, on_progress=on_progress)


def existing(
    environment: Environment | Literal["auto"], home: Home, *, has_gpu: bool, kind: str = "vllm"
) -> EngineEnvironment | None:
    """The environment a suite asks for where it is here already; nothing is built. None for an
    image, which only docker can look into. Raises BadInput for an executable that is not there."""
    flavour: Flavour = "cuda" if has_gpu else "cpu"
    if environment != "auto" and environment.image is not None:
        return None
    if environment != "auto" and environment.executable is not None:
        return _of_executable(environment.executable, flavour)
    recipe = recipes.choose(environment, has_gpu=has_gpu, kind=kind)
    return read_ready(home.engines.resolve() / recipe.key)


def of_image(
    image: str, home: Home, flavour: Flavour, on_progress: OnProgress
) -> EngineEnvironment:
    """A container image as an environment. Raises BadInput, EngineEnvironmentError."""
    docker = images.find_docker()
    digest = images.ensure(docker, image, on_progress)
    key = "image-" + re.sub(r"[^A-Za-z0-9._]+", "-", image)
    return EngineEnvironment(
        key=key,
        flavour=flavour,
        executable=docker,
        cache=home.engines.resolve() / key / "cache",
        image=image,
        image_digest=digest,
    )


def _of_executable(executable: str, flavour: Flavour) -> EngineEnvironment:
    found = shutil.which(executable)
    if found is None:
        raise BadInput(
            f"engine.environment.executable: {executable} does not exist or is not executable",
            hint="Set it to the path of the engine's command, or omit environment.",
        )
    beside = Path(found).parent / "python"
    return EngineEnvironment(
        key="executable",
        flavour=flavour,
        executable=Path(found),
        python=beside if beside.exists() else None,
    )


def build(recipe: Recipe, home: Home, *, on_progress: OnProgress) -> EngineEnvironment:
    """The recipe's environment, from before or built now."""
    root = home.engines.resolve() / recipe.key

    def waiting() -> None:
        on_progress(Progress("environment", recipe.name, "waiting for another process to build it"))

    found = read_ready(root)
    if found is not None:
        return found
    most_bytes = RunRetention.from_env().engines_gb * 10**9
    with locked(home.engines / f"{recipe.key}.lock", on_wait=waiting):
        found = read_ready(root)
        if found is not None:
            return found
        _build(recipe, root, on_progress)
        found = read_ready(root)
    _make_room(home, recipe.key, most_bytes, on_progress)
    if found is None:
        raise EngineEnvironmentError(
            f"{recipe.name} was built, but has no {recipe.command} in {root / 'bin'}",
            hint="Check the recipe's requirements.",
        )
    return found


def _make_room(home: Home, built: str, most_bytes: int, on_progress: OnProgress) -> None:
    """Nothing here is in the way of who waits for what was built."""
    try:
        for key in environment_retention.make_room(home, built, most_bytes):
            on_progress(Progress("environment", key, "unused for longest: removed to make room"))
    except (OSError, NightbenchError) as error:
        on_progress(Progress("environment", built, f"no room was made: {error}"))


def read_ready(root: Path) -> EngineEnvironment | None:
    """The environment in a folder; None where there is none that we may use, a half built one, or a
    moved one."""
    try:
        facts = json.loads((root / "ready.json").read_text())
    except (OSError, ValueError):
        return None
    executable = root / "bin" / facts.get("command", "vllm")
    if facts["root"] != str(root.resolve()) or not executable.exists():
        return None
    return EngineEnvironment(
        key=root.name,
        flavour=facts["flavour"],
        executable=executable,
        python=root / "bin" / "python",
        version=facts["version"],
        torch_version=facts["torch_version"],
        cache=root / "cache",
    )


def _build(recipe: Recipe, root: Path, on_progress: OnProgress) -> None:
    def say(detail: str, done: int | None = None, total: int | None = None) -> None:
        on_progress(Progress("environment", recipe.name, detail, done, total))

    say("making a virtual environment")
    shutil.rmtree(root, ignore_errors=True)
    make_private(root.parent)
    log = root.parent / f"{recipe.key}.log"
    with log.open("w") as log_file:
        run = _Runner(recipe, log_file.write)
        run([sys.executable, "-m", "venv", str(root)])
        python = root / "bin" / "python"
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input"]
        index = ["--extra-index-url", recipe.extra_index_url] if recipe.extra_index_url else []
        # Not compiled here: what is used compiles itself at its first import, which is far less.
        install = [*pip, "install", "--no-compile", "--progress-bar", "off", *index]
        if recipe.is_compiled_here:
            # pip keeps the wheels that it built, by name and version alone: another processor's, or
            # those of another build environment.
            install.append("--no-cache-dir")
        run([*install, *recipe.requirements], watch=PipProgress(root, say))
        if recipe.uninstall:
            say("removing " + ", ".join(recipe.uninstall))
            run([*pip, "uninstall", "-q", "-y", *recipe.uninstall])
        say("checking that it imports")
        _write_alias(recipe, root, python, run)
        said = run([str(python), "-I", "-W", "ignore", "-c", _check(recipe)])
        facts = json.loads(said.splitlines()[-1])
    ready = {"root": str(root), "flavour": recipe.flavour, "command": recipe.command, **facts}
    aside = root / "ready.json.new"
    aside.write_text(json.dumps(ready, indent=1))
    aside.replace(root / "ready.json")
    say(f"{recipe.distribution} {facts['version']} is ready")


def _check(recipe: Recipe) -> str:
    return (
        f"{recipe.check}\nimport json\n"
        "from importlib.metadata import PackageNotFoundError, version\n"
        "try:\n    torch = version('torch')\nexcept PackageNotFoundError:\n    torch = None\n"
        f"facts = dict(version=version({recipe.distribution!r}), torch_version=torch)\n"
        "print(json.dumps(facts))"
    )


def _write_alias(recipe: Recipe, root: Path, python: Path, run: _Runner) -> None:
    """Give what is installed its second name, as metadata only."""
    if recipe.alias is None:
        return
    code = (
        "import sysconfig\nfrom importlib.metadata import version\n"
        f"print(version({recipe.alias.distribution!r})); print(sysconfig.get_path('purelib'))"
    )
    version, site_packages = run([str(python), "-I", "-c", code]).splitlines()[-2:]
    full = f"{version}+{recipe.alias.local_version}"
    info = Path(site_packages) / f"{recipe.alias.name}-{full}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {recipe.alias.name}\nVersion: {full}\n"
        f"Summary: {recipe.alias.distribution}, by the name it is imported by\n"
    )
    (info / "INSTALLER").write_text("nightbench\n")
    (info / "RECORD").write_text("")


class _Runner:
    """Runs the build's commands into its log; a failure carries the last lines and what to try."""

    def __init__(self, recipe: Recipe, write_log: Callable[[str], object]) -> None:
        self._recipe = recipe
        self._write_log = write_log

    def __call__(self, argv: list[str], watch: PipProgress | None = None) -> str:
        environ = environment_for(FOR_PIP) | self._recipe.build_env
        redact = Redactor.from_env()
        tail: deque[str] = deque(maxlen=200)
        with subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environ
        ) as process:
            try:
                for said in _lines(process.stdout):
                    line = redact.optional(said)
                    if line is not None:
                        self._write_log(line + "\n")
                        tail.append(line)
                    if watch is not None:
                        watch.take(line)
            except BaseException:
                # pip's compilers would go on without it, for minutes.
                kill_all((process.pid, *descendants(process.pid)))
                raise
        if process.returncode:
            raise failure(self._recipe, list(tail))
        return "\n".join(tail)


def _lines(pipe: IO[bytes] | None) -> Iterator[str | None]:
    """The lines of a pipe as they come, and None for every half second without one."""
    if pipe is None:
        return
    fd, partial = pipe.fileno(), b""
    while True:
        if not select.select([fd], [], [], 0.5)[0]:
            yield None
            continue
        chunk = os.read(fd, 65536)
        if not chunk:
            break
        *lines, partial = (partial + chunk).split(b"\n")
        yield from (line.decode(errors="replace").rstrip() for line in lines)
    if partial:
        yield partial.decode(errors="replace")


def failure(recipe: Recipe, output: list[str]) -> EngineEnvironmentError:
    """The error of a build that failed: its last lines, and what is worth trying."""
    notable = [line for line in output if not line.startswith("WARNING")]
    last = "\n".join(f"  | {line}" for line in notable[-TAIL_LINES:])
    hint = "See the lines above; the next run starts over."
    if any(re.search(r"No matching distribution|Could not find a version", x) for x in output):
        hint = (
            "pip's index has no such build. For a CPU build of PyTorch, name the index that has "
            "it: "
            "environment: {requirement: …, extra_index_url: …} in the suite, or extra_index_url in "
            f"infra/engines/{recipe.name}.toml (see PyTorch's installation page for the address)."
        )
    elif any("No space left" in line for line in output):
        hint = (
            "The disk is full: an engine environment takes 4 to 12 GB. Free some space and "
            "run again."
        )
    return EngineEnvironmentError(f"{recipe.name} could not be built:\n{last}", hint=hint)


class PipProgress:
    """What pip's output says about how far it is; installed packages are counted on disk,
    for pip says nothing between 'Installing' and 'Successfully installed'."""

    def __init__(self, root: Path, say: Say) -> None:
        self._root, self._say = root, say
        self._collected = 0
        self._installing = 0
        self._detail = ""

    def take(self, line: str | None) -> None:
        """Take one line of pip's output, or the news that there was none for a while."""
        if line is not None:
            self._read(line.strip())
        if self._installing:
            installed = sum(1 for _ in self._root.glob("lib/python*/site-packages/*.dist-info"))
            self._say("installing packages", min(installed, self._installing), self._installing)
        elif self._detail and line is not None:
            self._say(self._detail, self._collected, None)

    def _read(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "Collecting":
            self._collected += 1
            self._detail = "collecting " + re.split(r"[<>=!~\[;( ]", rest)[0]
        elif word == "Downloading":
            size = f" {rest[rest.rindex('(') :]}" if "(" in rest else ""
            name = rest.split(" ")[0].rsplit("/", 1)[-1].split("-")[0]
            self._detail = f"downloading {name}{size}"
        elif line.startswith("Installing collected packages:"):
            self._installing = len(line.split(":", 1)[1].split(","))
        elif line.startswith("Successfully installed"):
            self._installing = 0
            self._detail = "installed"

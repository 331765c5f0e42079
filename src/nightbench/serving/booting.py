"""Ready means: the process lives, /health is 200, the model is listed, and a completion came back.

/health alone lies: a server has been seen to answer 200 and to die on its first request.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from nightbench.endpoint import Endpoint
from nightbench.engines import target_engine
from nightbench.errors import BootFailed, BootTimeout
from nightbench.progress import OnProgress, Progress
from nightbench.serving import probing
from nightbench.serving.file_locks import Sleep
from nightbench.serving.supervise.supervisor_client import LogFollower, Supervised, wait_until
from nightbench.suite.models import Target

POLL_S = 0.1
LAST_WORDS_S = 3.0
LISTED_LATE_S = 2.0  # a server that answers for a model, and lists it so much later


class PortTaken(Exception):
    """Somebody else listens on the port that was free when it was chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootPhases:
    """Seconds: the whole boot, until weights are read, reading them, compiling, first answer."""

    boot_s: float | None = None
    process_s: float | None = None
    weights_s: float | None = None
    compile_s: float | None = None
    first_answer_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """A boot to be waited for."""

    target: Target
    supervised: Supervised
    endpoint: Endpoint  # its model "" is asked of the server
    port: int
    ready_path: str
    on_progress: OnProgress
    in_container: bool = False  # its listener is no process of ours, then
    clock: Callable[[], float] = time.monotonic
    sleep: Sleep = time.sleep


def wait_ready(boot: Boot) -> tuple[Endpoint, BootPhases]:
    """Wait until the server really answers.

    Raises BootFailed or BootTimeout with the log's last lines, PortTaken where it is not ours.
    """
    watcher = _BootWatcher(boot)
    while not probing.is_healthy(f"{boot.endpoint.root_url}{boot.ready_path}"):
        watcher.tick("starting")
        boot.sleep(POLL_S)
    # A container's port is docker's: it does not start where somebody else has that.
    if not boot.in_container and not probing.listens_below(boot.supervised.pid, boot.port):
        raise PortTaken
    watcher.is_healthy()
    endpoint = _with_model(boot, watcher)
    _answers(boot, endpoint, watcher)
    return endpoint, watcher.phases()


def _with_model(boot: Boot, watcher: _BootWatcher) -> Endpoint:
    """With the model to ask for: listed, or waited for as long as the server is loading it."""
    wanted = boot.endpoint.model
    missing_since_s: float | None = None
    while True:
        listed = _listed(boot, watcher)
        if listed is not None and wanted in listed:
            return boot.endpoint
        if listed and not wanted:
            break
        if listed:
            missing_since_s = watcher.elapsed_s() if missing_since_s is None else missing_since_s
            _refuse_unlisted(boot, watcher, listed, watcher.elapsed_s() - missing_since_s)
        watcher.tick("waiting for its model to appear in the list")
        boot.sleep(POLL_S)
    if len(listed) > 1:
        raise watcher.failed(
            f"lists {len(listed)} models ({probing.names(listed)}): set served_model_name"
        )
    return replace(boot.endpoint, model=listed[0])


def _listed(boot: Boot, watcher: _BootWatcher) -> list[str] | None:
    """The models it lists; None while it says that it is loading."""
    try:
        return probing.list_models(boot.endpoint)
    except probing.NotListed as error:
        if not error.is_loading:
            raise watcher.failed(f"does not list its models: {error}") from None
        watcher.heard(str(error))
        return None


def _refuse_unlisted(
    boot: Boot, watcher: _BootWatcher, listed: list[str], missing_s: float
) -> None:
    """Raise BootFailed where it serves others and knows nothing of ours: a wrong name, unless it
    says that it is loading."""
    answer = probing.ask(boot.endpoint, timeout_s=max(1.0, watcher.left_s()))
    if answer.is_loading or (answer.ok and missing_s < LISTED_LATE_S):
        watcher.heard(answer.detail or f"it serves {probing.names(listed)}")
        return
    said = f" ({answer.detail})" if answer.detail else ""
    raise watcher.failed(f"serves {probing.names(listed)}, and not {boot.endpoint.model}{said}")


def _answers(boot: Boot, endpoint: Endpoint, watcher: _BootWatcher) -> None:
    """Ask for a completion until the boot's time is over; the question races the process's exit."""
    while True:
        watcher.tick("requesting a first completion")
        answer = probing.ask(endpoint, timeout_s=max(1.0, watcher.left_s()))
        if answer.is_loading:
            watcher.heard(answer.detail)
        watcher.tick("requesting a first completion")
        if answer.ok:
            return
        if not answer.is_loading:
            raise watcher.failed(f"was healthy, but its first completion failed: {answer.detail}")
        boot.sleep(POLL_S)


class _BootWatcher:
    """What the log says meanwhile, when each phase began, and when to give up."""

    def __init__(self, boot: Boot) -> None:
        self._boot = boot
        self._log = LogFollower(boot.supervised.order.log_path)
        self._began = boot.clock()
        self._weights_began: float | None = None
        self._healthy_at: float | None = None
        self._label, self._step = "", -1
        self._said: tuple[str, int] = ("", -1)
        self._seconds: dict[str, float] = {}
        self._heard = ""

    def elapsed_s(self) -> float:
        return self._boot.clock() - self._began

    def left_s(self) -> float:
        return self._boot.target.boot_timeout_s - self.elapsed_s()

    def heard(self, words: str) -> None:
        """Remember what the server says of itself while it is not ready."""
        self._heard = words

    def tick(self, label: str) -> None:
        """Read the log, say how far it is, raise if the process is gone or time is over."""
        for line in self._log.lines():
            self._read(line)
        if not self._boot.supervised.running():
            raise self._exited()
        if self.left_s() <= 0:
            raise BootTimeout(
                f"{self._boot.target.name} was not ready within "
                f"{self._boot.target.boot_timeout_s:.0f} s ({self._label or label}"
                f"{f': {self._heard}' if self._heard else ''})",
                hint="Raise boot_timeout_s, or check the log for what it is waiting for: "
                f"{self._boot.supervised.order.log_path}",
                log_tail=self._boot.supervised.log_tail(),
            )
        if label != "starting":
            self._label = label
        words = f": {self._heard}" if self._heard else ""
        said = ((self._label or label) + words, int(self.elapsed_s()))
        if said != self._said:
            self._said = said
            detail = f"{said[0]} ({said[1]} s)"
            self._boot.on_progress(Progress("boot", self._boot.target.name, detail))

    def _read(self, line: str) -> None:
        sign = target_engine.boot_sign(self._boot.target, line)
        if sign is None:
            return
        if sign.step > self._step:
            self._step, self._label = sign.step, sign.label
        if sign.phase == "weights" and self._weights_began is None:
            self._weights_began = self.elapsed_s()
        if sign.seconds is not None:
            self._seconds[sign.phase] = sign.seconds

    def is_healthy(self) -> None:
        """Remember when it was."""
        self._healthy_at = self.elapsed_s()

    def _exited(self) -> BootFailed | PortTaken:
        """Why it went: somebody else has its port, or what its last words say."""
        error = self.failed("exited before it was ready")
        if re.search(r"address already in use|port is already allocated", error.log_tail, re.I):
            return PortTaken()
        return error

    def failed(self, what: str) -> BootFailed:
        """The error, with the log's last lines once the process has had time to write them."""
        supervised = self._boot.supervised
        wait_until(
            lambda: not supervised.running(),
            LAST_WORDS_S,
            sleep=self._boot.sleep,
            clock=self._boot.clock,
        )
        wait_until(
            lambda: supervised.report().state == "gone" or supervised.running(),
            LAST_WORDS_S,
            sleep=self._boot.sleep,
            clock=self._boot.clock,
        )
        code = supervised.report().exit_code
        exited = f" (exit code {code})" if code is not None else ""
        return BootFailed(
            f"{self._boot.target.name} {what}{exited}",
            hint=f"The whole log is in {supervised.order.log_path}",
            log_tail=supervised.log_tail(),
        )

    def phases(self) -> BootPhases:
        """The phases of a boot that is over."""
        boot_s = self.elapsed_s()
        healthy_s = boot_s if self._healthy_at is None else self._healthy_at
        return BootPhases(
            boot_s=boot_s,
            process_s=self._weights_began if self._weights_began is not None else healthy_s,
            weights_s=self._seconds.get("weights"),
            compile_s=self._seconds.get("compile"),
            first_answer_s=boot_s - healthy_s,
        )

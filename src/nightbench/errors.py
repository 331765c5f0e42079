"""What can go wrong, as types.

    NightbenchError            says what happened, to what, and what to do next
    ├── BadInput               the person's input is wrong; nothing was started        (exit 2)
    │   ├── SuiteError         a suite file: which file, which key, what was expected
    │   ├── PluginError        what another distribution adds (an engine, …) cannot be used
    │   ├── DataError          records, prompts or a model that are not there or not readable
    │   └── ArgumentsRefused   an engine does not take the arguments a suite gives it
    ├── EngineEnvironmentError an engine's virtual environment could not be built      (exit 1)
    ├── LeaseError             GPUs or cores could not be had
    ├── ServerError            a server is no longer to be measured; carries its log tail
    │   ├── BootFailed         exited, or never answered, before it was ready
    │   ├── BootTimeout        did not become ready in time
    │   ├── ServerDied         exited while it was measured
    │   ├── ServerHung         lives, but answers nothing
    │   └── TeardownFailed     something of it is still there after the grace period
    ├── EndpointError          an API nobody here started: unreachable, wrong key, unknown model
    ├── HistoryError           landing, locking or reading the history
    ├── DashboardError         SwanLab; never fails a run
    ├── AlertError             the morning message could not be sent; never fails a run
    └── GateNotPassed          everything ran, and a gate of the suite did not hold    (exit 3)

A failed *request* is not an exception: it is a row with an `error_kind`.
"""

from __future__ import annotations


class NightbenchError(Exception):
    """Base of everything nightbench raises on purpose.

    `message` says what happened to what; `hint` says what to do next, in the imperative.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class BadInput(NightbenchError):
    """The person's input is wrong. Nothing was started."""

    exit_code = 2


class SuiteError(BadInput):
    """A suite file is wrong: `problems` are lines of 'key.path: what was expected'."""

    def __init__(self, file: str, problems: list[str]) -> None:
        self.file = file
        self.problems = problems
        listed = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"{file} is not a valid suite:\n{listed}")


class PluginError(BadInput):
    """What another distribution declares as an entry point cannot be used; says whose it is."""


class DataError(BadInput):
    """Records, prompts or a model that are not there or cannot be read."""


class ArgumentsRefused(BadInput):
    """An engine itself says that it does not take a target's arguments."""


class EngineEnvironmentError(NightbenchError):
    """An engine's environment could not be built or does not work."""


class LeaseError(NightbenchError):
    """The hardware a target asks for could not be had."""


class ServerError(NightbenchError):
    """A server is not, or no longer, to be measured.

    `log_tail` holds the last lines it wrote, secrets removed.
    """

    def __init__(self, message: str, *, hint: str = "", log_tail: str = "") -> None:
        super().__init__(message, hint=hint)
        self.log_tail = log_tail

    def __str__(self) -> str:
        if not self.log_tail:
            return super().__str__()
        tail = "\n".join(f"  | {line}" for line in self.log_tail.splitlines())
        return f"{self.message}\n  log tail:\n{tail}" + (f"\n  {self.hint}" if self.hint else "")


class BootFailed(ServerError):
    """The server exited before it was ready, or its first answer was an error."""


class BootTimeout(ServerError):
    """The server did not become ready within boot_timeout_s."""


class ServerDied(ServerError):
    """The server exited while it was being measured."""


class ServerHung(ServerError):
    """The server's process lives but it makes no progress."""


class TeardownFailed(ServerError):
    """Something of the server is still there after the grace period."""


class EndpointError(NightbenchError):
    """An API that nightbench did not start is unreachable, refuses the key or lacks the model."""


class HistoryError(NightbenchError):
    """The history could not be read or written."""


class NoHistory(HistoryError):
    """No night has been ingested yet."""


class DashboardError(NightbenchError):
    """A dashboard could not be fed. Never fails a run."""


class AlertError(NightbenchError):
    """A message did not get out. Never fails a run, and never holds the address."""


class GateNotPassed(NightbenchError):
    """Everything ran; a gate of the suite did not hold."""

    exit_code = 3

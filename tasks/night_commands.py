"""The commands of a suite around its night: before the first target, and after the last."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from prefect.logging import get_run_logger

from nightbench.night.commands import NightCommandFailed, NightContext, run_command
from nightbench.night.run import Night
from nightbench.secrets.child_env import FOR_COMMANDS, environment_for
from nightbench.suite.models import NightCommand
from tasks.recording import RunRecorder
from tasks.redacting import step

# Prefect gives a cancelled run 30 s, most of which teardown and sealing may need.
WAIT_IF_CANCELLED_S = 5.0


def commands_around_if(alone: bool, night: Night, run: object) -> AbstractContextManager[None]:
    """`commands_around` for a target that is a run of its own; else its night has them."""
    return commands_around(night, run) if isinstance(run, RunRecorder) and alone else nullcontext()


@contextmanager
def commands_around(night: Night, run: RunRecorder) -> Iterator[None]:
    """Run `before`, then the block, then `after`, however the block ended.

    Where a command of `before` fails, NightCommandFailed is raised and nothing is measured. One of
    `after` that fails is remarked on the run.
    """
    try:
        for command in night.suite.before:
            run_before(command, _context(night))
        yield
    except Exception:
        _after(night, run, "failed")
        raise
    except BaseException:
        _after(night, run, "cancelled", WAIT_IF_CANCELLED_S)
        raise
    _after(night, run, "failed" if run.failed else "completed")


@step(name="before the night", task_run_name="before: {command.argv[0]}")
def run_before(command: NightCommand, context: NightContext) -> None:
    """One command of `before`. Raises NightCommandFailed."""
    run_command(command, context, _environment(command))


@step(name="after the night", task_run_name="after: {command.argv[0]}")
def run_after(command: NightCommand, context: NightContext) -> None:
    """One command of `after`. Raises NightCommandFailed."""
    run_command(command, context, _environment(command))


def _after(night: Night, run: RunRecorder, status: str, wait_s: float | None = None) -> None:
    """All of `after`, one of which may fail and keeps no other from being run."""
    context = _context(night, status)
    for command in night.suite.after:
        try:
            if wait_s is None:
                run_after(command, context)
            else:  # a cancelled run starts no more tasks
                run_command(command, context, _environment(command), wait_s=wait_s)
        except NightCommandFailed as error:
            get_run_logger().error("after the night: %s", error)
            run.remark(f"after the night: {error}")


def _environment(command: NightCommand) -> dict[str, str]:
    """What a command gets of ours: what it needs to find its cluster, and what its suite names."""
    return environment_for((*FOR_COMMANDS, *command.pass_env), os.environ)


def _context(night: Night, status: str | None = None) -> NightContext:
    return NightContext(
        run_id=night.run_id,
        night=night.date.isoformat(),
        suite=night.suite.name,
        base_dir=night.base_dir,
        status=status,
    )

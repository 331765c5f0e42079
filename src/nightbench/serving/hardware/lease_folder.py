"""The folder where the hardware of this machine is leased: one for all its users, or refused.

Whoever owns a folder, or may rename what lies in it, can take a lease file out from under its
holder. So it and everything above it belongs to root or to this user, and where others write, it is
sticky.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path

from nightbench.errors import LeaseError
from nightbench.home import owned_files

SHARED = Path("/var/lock/nightbench")
MAKE_SHARED = f"sudo install -d -o root -g root -m 1777 {SHARED}"
ALONE = f"private to this user; `{MAKE_SHARED}` creates one for all users"


def directory(environ: Mapping[str, str] = os.environ) -> Path:
    """NIGHTBENCH_LEASES, else /var/lock/nightbench, which root makes; where there is none, a folder
    in the user's home, for the user's own runs only. Nothing is made or looked into here."""
    if named := environ.get("NIGHTBENCH_LEASES"):
        return Path(named).absolute()
    if os.geteuid() == 0 or os.path.lexists(SHARED):
        return SHARED
    return own(environ)


def own(environ: Mapping[str, str] = os.environ) -> Path:
    """Where nobody else can make anything first; by machine, since homes are mounted on many. For a
    user without a home, the shared one, which they can only be told how to make."""
    try:
        state = environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    except RuntimeError:
        return SHARED
    return Path(state).absolute() / "nightbench" / f"leases-{os.uname().nodename}"


def ready(where: Path) -> None:
    """Have the folder there, fit to lease in. Raises LeaseError, which says how to make it."""
    check(where)
    try:
        if not where.exists():
            _make(where)
            check(where)
    except OSError as error:
        raise LeaseError(
            f"{where}, where hardware is leased, cannot be made: {error.strerror}",
            hint=_how_to_make(where),
        ) from error
    if not os.access(where, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        raise LeaseError(
            f"{where}, where hardware is leased, is not accessible to this user",
            hint=_how_to_make(where),
        )


def check(where: Path) -> None:
    """Raise LeaseError for a folder in which others could take a lease away. One that is not there
    yet is no reason."""
    try:
        doubt = owned_files.distrust(where)
    except OSError as error:
        raise LeaseError(
            f"hardware cannot be leased in {where}: {error.strerror}", hint=_how_to_make()
        ) from error
    if doubt is None:
        return
    at, why = doubt
    below = "" if at == where else f", below {at}"
    raise LeaseError(
        f"hardware is not leased in {where}{below}: {why}",
        hint=_how_to_make(where) if at == where else _how_to_make(),
    )


def _how_to_make(where: Path | None = None) -> str:
    """The command for a folder, or for the usual one where the fault lies above it."""
    made = shlex.quote(str(where or SHARED))
    install = f"sudo install -d -o root -g root -m 1777 {made}"
    if where is None:
        return (
            f"`{install}` creates the usual folder; unset NIGHTBENCH_LEASES,"
            " or use one that only root or you can replace."
        )
    try:
        in_the_way = not stat.S_ISDIR(os.lstat(where).st_mode)
    except OSError:
        in_the_way = False
    return f"`{f'sudo rm {made} && ' if in_the_way else ''}{install}` creates it correctly."


def _make(where: Path) -> None:
    """Make it, and what is missing above it. The usual one is root's and open to everybody."""
    missing = [step for step in (where, *where.parents) if not step.exists()]
    for step in reversed(missing):
        try:
            os.mkdir(step, 0o755)  # noqa: PTH102
        except FileExistsError:
            continue  # by another run of ours, or looked at again in a moment
        if step == SHARED and os.geteuid() == 0:
            step.chmod(0o1777, follow_symlinks=True)

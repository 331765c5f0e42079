"""A second user of this machine, for what another user may and may not see."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence

import pytest

COLLEAGUE = pwd.getpwnam("nobody").pw_uid
_SETPRIV = shutil.which("setpriv")

only_for_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


def as_colleague(argv: Sequence[str], *, gid: int | None = None) -> list[str]:
    """The command line as `nobody` runs it, a member of no group but, where given, this one."""
    groups = "--clear-groups" if gid is None else f"--groups={gid}"
    who = (f"--reuid={COLLEAGUE}", f"--regid={pwd.getpwuid(COLLEAGUE).pw_gid}", groups)
    return [str(_SETPRIV), *who, "--", *argv]


def can_be_colleague() -> bool:
    """Whether this process can be `nobody`, who must reach this very interpreter."""
    if os.geteuid() != 0 or _SETPRIV is None:
        return False
    argv = as_colleague([sys.executable, "-c", "import nightbench"])
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def python_as_colleague(
    argv: Sequence[str], env: Mapping[str, str], *, gid: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run our Python as `nobody` to its end."""
    return subprocess.run(
        as_colleague([sys.executable, "-B", *argv], gid=gid),
        env=dict(env),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )

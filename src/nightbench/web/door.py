"""Where a server of ours listens, what it is called there, and the command that starts it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

PASSWORD_NAME = "NIGHTBENCH_WEB_PASSWORD"  # noqa: S105 - where `user:password` is, not what it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Of one server. `allowed` are names that a person adds, `name` or `name:port`."""

    port: int
    host: str = "127.0.0.1"
    names: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    any_address: bool = False
    sign_in: Path | None = None  # the folder of tokens

    def argv(self, factory: str) -> tuple[str, ...]:
        """The command that serves what `module:factory` makes."""
        return (
            # -P: what lies in the working directory is not imported, whoever put it there.
            *(sys.executable, "-P", "-m", "nightbench.web.serve", factory),
            *("--host", self.host, "--port", str(self.port)),
            *(word for name in self.names for word in ("--name", name)),
            *(word for name in self.allowed for word in ("--allowed-host", name)),
            *(("--any-address",) if self.any_address else ()),
            *(("--sign-in", str(self.sign_in)) if self.sign_in else ()),
        )

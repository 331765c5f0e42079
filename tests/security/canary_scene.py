"""Where canaries are let loose: a folder of its own, and every kind of secret as a canary."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path


def canary(kind: str) -> str:
    """A key as services make them; its ends are no words, which are shown (docs/secrets.md)."""
    return f"sk-{kind}-7Q{secrets.token_urlsafe(24)}7q"


@dataclass
class Scene:
    """Where it happens: one folder that holds all that nightbench may write to."""

    root: Path
    canaries: dict[str, str] = field(default_factory=dict)  # kind → value
    leaks: list[tuple[str, str, str]] = field(default_factory=list)  # kind, where, how it reads
    ran: list[tuple[str, int, float]] = field(default_factory=list)  # command, exit code, seconds

    @property
    def inputs(self) -> Path:
        """What a person wrote: not searched."""
        return self.root / "inputs"

    @property
    def told(self) -> Path:
        """Where the echoing engine says which key it was given: not searched."""
        return self.inputs / "told.jsonl"

    def environment(self, webhook: str, cloud: str) -> dict[str, str]:
        """Every kind of secret, under the names that they really have."""
        value = self.canaries
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root / "user"),
            "TMPDIR": str(self.root / "tmp"),
            "LANG": "C.UTF-8",
            "NO_PROXY": "127.0.0.1",
            "NIGHTBENCH_HOME": str(self.root / "home"),
            "NIGHTBENCH_LEASES": str(self.root / "leases"),
            "LLM_LOGIN": value["target"],
            "OTHER_API_KEY": value["other target"],
            "GATEWAY_WORD": value["header"],
            "HF_TOKEN": value["hub"],
            "SWANLAB_API_KEY": value["dashboard"],
            "SWANLAB_API_HOST": cloud,
            "SWANLAB_WEB_HOST": cloud,
            "NIGHTBENCH_ALERT_URL": f"{webhook}/services/T0/{value['alert']}",
            "PGPASSWORD": value["database"],
            "PREFECT_API_AUTH_STRING": f"admin:{value['prefect']}",
            "PREFECT_SERVER_API_AUTH_STRING": f"admin:{value['prefect']}",
            "HTTPS_PROXY": f"http://me:{value['proxy']}@127.0.0.1:9",
            "AWS_SECRET_ACCESS_KEY": value["cloud"],
            "PASSED_TOKEN": value["passed on"],
        }


KINDS = (
    *("target", "other target", "header", "hub", "dashboard", "alert", "database", "prefect"),
    *("proxy", "cloud", "passed on"),
)
MADE = "made for an engine"

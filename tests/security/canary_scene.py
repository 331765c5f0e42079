"""Where canaries are let loose: a folder of its own, and every kind of secret as a canary."""

from __future__ import annotations

import base64
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path


def canary(kind: str) -> str:
    """A key as services make them; its ends are no words, which are shown (docs/secrets.md)."""
    return f"sk-{kind}-7Q{secrets.token_urlsafe(24)}7q"


def key_of_blocks() -> str:
    """What Prefect encrypts its blocks with: Fernet takes 32 bytes in base64 and nothing else."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


@dataclass
class Scene:
    """Where it happens: one folder that holds all that nightbench may write to."""

    root: Path
    canaries: dict[str, str] = field(default_factory=dict)  # kind → value
    leaks: list[tuple[str, str, str]] = field(default_factory=list)  # kind, where, how it reads
    watched: set[str] = field(default_factory=set)  # words of command lines (looking.NEEDS)
    ran: list[tuple[str, int, float]] = field(default_factory=list)  # command, exit code, seconds

    @property
    def inputs(self) -> Path:
        """What a person wrote: not searched."""
        return self.root / "inputs"

    @property
    def told(self) -> Path:
        """Where the echoing engine says which key it was given: not searched."""
        return self.inputs / "told.jsonl"

    @property
    def home(self) -> Path:
        """NIGHTBENCH_HOME."""
        return self.root / "home"

    @property
    def suites(self) -> Path:
        """What `up` offers."""
        return self.inputs / "suites"

    @property
    def passwords(self) -> dict[str, Path]:
        """The passwords that commands make, and the one place where each is kept."""
        return {
            UP: self.home / "prefect" / "password",
            WATCH: self.home / "dashboards" / "watch" / "password",
        }

    def learn_passwords(self) -> None:
        """From now on, those that have been made are looked for, too."""
        for kind, file in self.passwords.items():
            if kind not in self.canaries and file.exists():
                self.canaries[kind] = file.read_text().strip().partition(":")[2]

    def environment(self, webhook: str, cloud: str, proxy: str) -> dict[str, str]:
        """Every kind of secret, under the names that they really have."""
        value = self.canaries
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root / "user"),
            "TMPDIR": str(self.root / "tmp"),
            "LANG": "C.UTF-8",
            "NIGHTBENCH_HOME": str(self.home),
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
            "PREFECT_SERVER_ENCRYPTION_KEY": value["blocks"],
            "PREFECT_API_AUTH_STRING": f"admin:{value['prefect']}",
            "PREFECT_SERVER_API_AUTH_STRING": f"admin:{value['prefect']}",
            **dict.fromkeys(
                ("HTTP_PROXY", "HTTPS_PROXY"), proxy.replace("//", f"//me:{value['proxy']}@")
            ),
            "AWS_SECRET_ACCESS_KEY": value["cloud"],
            "PASSED_TOKEN": value["passed on"],
        }


KINDS = (
    *("target", "other target", "header", "hub", "dashboard", "alert", "database", "prefect"),
    *("proxy", "cloud", "passed on", "blocks"),
)
MADE = "made for an engine"
UP, WATCH = "made by up", "made by watch"

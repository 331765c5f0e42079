"""The reference server as a test uses it: started in a process of its own, asked, ended."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from nightbench.endpoint import Endpoint


class ReferenceServer:
    """`with ReferenceServer(ttft_ms=50, itl_ms=10) as server: …`."""

    def __init__(self, *, ttft_ms: float = 20, itl_ms: float = 2) -> None:
        self._argv = [
            sys.executable,
            str(Path(__file__).with_name("server.py")),
            f"--ttft-ms={ttft_ms}",
            f"--itl-ms={itl_ms}",
        ]

    def __enter__(self) -> ReferenceServer:
        self._process = subprocess.Popen(self._argv, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """End it, as a crash would."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def endpoint(self) -> Endpoint:
        """Where it answers."""
        return Endpoint(
            base_url=f"http://127.0.0.1:{self.port}/v1", model="truth", api_key="s3cret"
        )

    def plan(self, faults: list[str]) -> None:
        """Request n gets the n-th of these, over and over."""
        self._ask("/plan", json.dumps(faults).encode())

    def reset(self) -> None:
        """Forget what was recorded."""
        self._ask("/reset", b"")

    def truth(self) -> list[dict[str, Any]]:
        """What it really did, request by request."""
        return [json.loads(line) for line in self._ask("/truth").splitlines()]

    def connections(self) -> int:
        """How many connections are open, this question's own left out."""
        return int(self._ask("/connections")) - 1

    def peak(self) -> int:
        """The most requests in flight at once."""
        return int(self._ask("/peak"))

    def _ask(self, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body)
        with urllib.request.urlopen(request) as response:  # noqa: S310
            answer: bytes = response.read()
            return answer

"""A stand-in for SwanLab's cloud: as much of its API as the SDK speaks while it mirrors a run."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "a-key"
PROJECT = {
    "cuid": "p1",
    "name": "nightbench",
    "path": "/someone/nightbench",
    "version": 1,
    "group": {"username": "someone"},
    "_count": {"experiments": 0},
}


class Cloud:
    """What it was told, and what it refuses."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}  # experiment → RUNNING, FINISHED, CRASHED
        self.names: dict[str, str] = {}
        self.points: set[tuple[str, str, int]] = set()  # experiment, metric, step
        self.refused: set[str] = set()  # beginnings of "METHOD /path": answered with 500
        self.url = ""

    def answer(self, method: str, path: str, key: str | None, body: Any) -> tuple[int, object]:
        """Status and JSON of one request."""
        if any(f"{method} {path}".startswith(refused) for refused in self.refused):
            return 500, {"code": "x", "message": "out of order"}
        if path == "/login/api_key":
            return self._log_in(key)
        if path.endswith("/experiment"):
            return self._begin(body)
        if path.endswith("/state"):
            self.states[path.split("/")[-2]] = body["state"]
        elif path == "/house/metrics" and body["type"] == "scalar":
            for metric in body["metrics"]:
                self.points.add((body["experimentId"], metric["key"], metric["index"]))
        elif path.startswith("/house/metrics/summaries"):
            return 200, self._summary(path.rsplit("/", maxsplit=1)[-1])
        elif method == "GET":
            return 200, PROJECT
        return 200, {}

    def _log_in(self, key: str | None) -> tuple[int, object]:
        if key != KEY:
            return 401, {"code": "Unauthorized", "message": "wrong key"}
        user = {"username": "someone", "name": "Some One"}
        return 200, {"sid": "s", "expiredAt": "2099-01-01T00:00:00.000Z", "userInfo": user}

    def _begin(self, body: Any) -> tuple[int, object]:
        known = body["cuid"] in self.states
        self.states[body["cuid"]] = "RUNNING"
        self.names[body["cuid"]] = body["name"]
        told = {"cuid": body["cuid"], "name": body["name"], "createdAt": "2026-01-01T00:00:00Z"}
        return (200 if known else 201), told

    def _summary(self, experiment: str) -> object:
        last: dict[str, int] = {}
        for of, key, step in self.points:
            if of == experiment:
                last[key] = max(step, last.get(key, step))
        scalars = [{"key": key, "step": step} for key, step in sorted(last.items())]
        return {"scalar": scalars, "log": [], "media": []}


@contextmanager
def running() -> Iterator[Cloud]:
    """A cloud on a port of its own."""
    cloud = Cloud()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            size = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(size)) if size else {}
            path = self.path.split("?")[0].removeprefix("/api")
            key = self.headers.get("authorization")
            status, told = cloud.answer(self.command, path, key, body)
            content = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _handle  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    cloud.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield cloud
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""Stand-ins for the Hugging Face hub and for ModelScope, as far as their libraries ask them.

One repository, `org/tiny`, of a few small files, one of them large-file storage. Run in a thread by
`hub()`; what it is asked is in `requests`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

COMMIT = "a" * 40
REPOSITORY = "org/tiny"
FILES = {
    "config.json": b'{"model_type": "tiny"}',
    "model.safetensors": b"weights " * (3 << 20),  # the library keeps what it has by 10 MB
    "pytorch_model.bin": b"the same weights " * 4096,
}
KEY = "hf_right"


@dataclass
class Hub:
    """What the stand-in is to do, and what it was asked."""

    url: str = ""
    status: int | None = None  # every answer, instead of the right one
    gated: bool = False
    cut_after: int | None = None  # bytes of the weights, once
    away_after_cut: bool = False
    claimed_size: int | None = None  # of the weights
    requests: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, Range

    def fetched(self) -> list[str]:
        """The files whose content was asked for."""
        return [
            path.rpartition("/")[2]
            for method, path, _ in self.requests
            if method == "GET" and "/resolve/" in path
        ]


@contextmanager
def hub() -> Iterator[Hub]:
    """A stand-in that serves until the block is left."""
    state = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def sha256(name: str) -> str:
    return hashlib.sha256(FILES[name]).hexdigest()


def _handler(state: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            state.requests.append((self.command, parts.path, self.headers.get("Range", "")))
            key = self.headers.get("Authorization")
            if state.status is not None:
                self.refuse(state.status, "")
            elif key not in (None, f"Bearer {KEY}"):
                self.refuse(401, "", "Invalid credentials in Authorization header")
            elif parts.path.startswith("/api/v1/models/"):
                self.modelscope(parts.path, parse_qs(parts.query))
            else:
                self.huggingface(parts.path)

        def huggingface(self, path: str) -> None:
            if f"/{REPOSITORY}" not in path:
                self.refuse(404, "RepoNotFound", "Repository not found")
            elif state.gated and "/resolve/" in path:
                self.refuse(403, "GatedRepo", "Access to this model is restricted")
            elif path.startswith(f"/api/models/{REPOSITORY}/revision/"):
                if path.rpartition("/")[2] not in ("main", "v1", COMMIT):
                    self.refuse(404, "RevisionNotFound", "Invalid rev id")
                else:
                    self.reply_json({"id": REPOSITORY, "sha": COMMIT, "siblings": []})
            elif path.startswith(f"/api/models/{REPOSITORY}/tree/"):
                self.reply_json([_entry(state, name) for name in FILES])
            else:
                self.resolve(path.rpartition("/")[2])

        def resolve(self, name: str) -> None:
            content = FILES[name]
            start = int(self.headers.get("Range", "bytes=0-")[6:].partition("-")[0])
            cut = state.cut_after if self.command == "GET" and name.endswith("tensors") else None
            self.send_response(206 if start else 200)
            self.send_header("ETag", f'"{_entry(state, name)["oid"]}"')
            self.send_header("X-Repo-Commit", COMMIT)
            if name.endswith(".safetensors"):
                self.send_header("X-Linked-Etag", f'"{sha256(name)}"')
                self.send_header("X-Linked-Size", str(state.claimed_size or len(content)))
            if start:
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                )
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            if self.command == "GET":
                if cut is not None:
                    state.cut_after = None
                    state.status = 503 if state.away_after_cut else None
                    self.wfile.write(content[start:cut])
                    self.close_connection = True
                else:
                    self.wfile.write(content[start:])

        def modelscope(self, path: str, query: dict[str, list[str]]) -> None:
            revision = query.get("Revision", ["master"])[0]
            if f"/{REPOSITORY}/" not in path:
                self.refuse(404, "", "the model is not found")
            elif revision not in ("master", "v1"):
                self.refuse(404, "", f"revision {revision} is not found")
            elif path.endswith("/repo/files"):
                files = [
                    {
                        "Path": name,
                        "Name": name,
                        "Size": state.claimed_size if state.claimed_size else len(content),
                        "Type": "blob",
                        "Revision": COMMIT,
                        "Sha256": sha256(name),
                    }
                    for name, content in FILES.items()
                ]
                self.reply_json({"Code": 200, "Success": True, "Data": {"Files": files}})
            elif path.endswith("/repo"):
                self.reply(FILES[query["FilePath"][0]])
            else:
                self.reply_json({"Code": 200, "Success": True, "Data": {}})

        def reply_json(self, value: object) -> None:
            self.reply(json.dumps(value).encode())

        def reply(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def refuse(self, status: int, code: str, message: str = "") -> None:
            body = json.dumps({"error": message, "Message": message, "Code": 1}).encode()
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            if message:
                self.send_header("X-Error-Message", message)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _entry(state: Hub, name: str) -> dict[str, object]:
    content = FILES[name]
    oid = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    size = state.claimed_size or len(content)
    entry: dict[str, object] = {"type": "file", "path": name, "size": size, "oid": oid}
    if name.endswith(".safetensors"):
        entry["lfs"] = {"oid": sha256(name), "size": size, "pointerSize": 134}
    return entry

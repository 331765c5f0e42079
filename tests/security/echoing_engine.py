"""An engine that tells everything it knows: its environment in its log, its key in its answers.

    python echoing_engine.py PORT FILE [dies]

Its key and the names of its variables also go to FILE, for whoever looks for them afterwards.
With `dies` it ends before it is ready, with its last words full of them.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.endswith("/models"):
            self.reply({"data": [{"id": "m"}]})
        else:
            self.reply({"version": f"1.0-{self.headers.get('Authorization')}"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        key = self.headers.get("Authorization", "")
        print("asked with", key, base64.b64encode(key.encode()).decode(), flush=True)
        message = {"role": "assistant", "content": f"{key} {dict(os.environ)} ANSWER: A"}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        self.reply({"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})

    def reply(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing of its own."""


def main() -> None:
    port, told, *how = sys.argv[1:]
    key = os.environ.get("NIGHTBENCH_API_KEY", "")
    with Path(told).open("a") as file:
        file.write(json.dumps({"key": key, "names": sorted(os.environ)}) + "\n")
    for name, value in os.environ.items():
        print(f"{name}={value} {json.dumps(value)} {value.encode(errors='replace').hex()}")
    print("x" * 70000 + key, flush=True)  # a line longer than the log takes at once
    if how == ["dies"]:
        sys.exit(f"no: {key}")
    ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()

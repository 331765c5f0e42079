"""A server of the OpenAI API's shape that boots at once and misbehaves on request.

Run as a file: PORT [--die-at-boot] [--never-ready] [--fail-answers] [--die-after-answers N]
[--shout] [--stubborn] [--sick-after-answers N] [--announce-port FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MODEL = "small"


def handler(args: argparse.Namespace) -> type[BaseHTTPRequestHandler]:
    """The server's behaviour."""
    answers = 0

    def is_sick() -> bool:
        return args.sick_after_answers is not None and answers > args.sick_after_answers

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/health":
                self.reply(503 if args.never_ready or is_sick() else 200, {})
            elif self.path == "/v1/models":
                self.reply(200, {"data": [{"id": MODEL}]})
            else:
                self.reply(404, {})

        def do_POST(self) -> None:
            nonlocal answers
            self.rfile.read(int(self.headers["Content-Length"]))
            answers += 1
            if args.fail_answers or is_sick():
                self.reply(500, {"error": "unsupported head size"})
            elif args.die_after_answers is not None and answers > args.die_after_answers:
                print("Fatal: out of memory", flush=True)
                os._exit(3)
            else:
                self.reply(200, {"choices": [{"message": {"content": "hello"}}]})

        def reply(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    for flag in ("die-at-boot", "never-ready", "fail-answers", "shout", "stubborn"):
        parser.add_argument(f"--{flag}", action="store_true")
    parser.add_argument("--die-after-answers", type=int)
    parser.add_argument("--sick-after-answers", type=int)
    parser.add_argument("--announce-port", type=Path)
    args = parser.parse_args()
    print("small server starting", flush=True)
    if args.shout:
        print(dict(os.environ), flush=True)
    if args.die_at_boot:
        sys.exit("Fatal: --no-such-option is not an option")
    if args.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
    if args.announce_port:
        let_it_be_stolen(args.announce_port, args.port)
    ThreadingHTTPServer(("127.0.0.1", args.port), handler(args)).serve_forever()


def let_it_be_stolen(folder: Path, port: int) -> None:
    """Say which port will be bound, and wait until somebody else has it; only the first time."""
    announced = folder / "port"
    if announced.exists():
        return
    (folder / "port.new").write_text(str(port))
    (folder / "port.new").rename(announced)
    while not (folder / "stolen").exists():
        time.sleep(0.01)
    time.sleep(1.0)  # as an engine that is still importing while the thief answers


if __name__ == "__main__":
    main()

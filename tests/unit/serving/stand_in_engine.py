#!/usr/bin/env python3
"""Engines that are not installed here, behaving as their documentation says.

Linked under the name of what it stands in for: `ollama`, `lmdeploy`, `python3` (for SGLang), `vllm`
or `docker`. It lies in the folder `bin` of its bench, and gets nothing by its environment that an
engine does not get: the words of each call go to the bench's file `calls`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

LIBRARY = ("gemma3:4b",)  # what Ollama's library has
POLL_S = 0.02
BENCH = Path(__file__).absolute().parents[1]


def main() -> None:
    """Be what the name says."""
    name, words = Path(sys.argv[0]).name, sys.argv[1:]
    with (BENCH / "calls").open("a") as calls:
        calls.write(json.dumps([name, *words]) + "\n")
    if name == "docker":
        sys.exit(docker(words))
    if name == "ollama":
        sys.exit(ollama(words))
    command = {
        "vllm": ("serve",),
        "lmdeploy": ("serve", "api_server"),
        "python3": ("-m", "sglang.launch_server"),
    }[name]
    if tuple(words[: len(command)]) != command:
        sys.exit(f"{name}: nobody stands in for {words}")
    address = {"vllm": "host port", "lmdeploy": "server-name server-port", "python3": "host port"}
    parser = argparse.ArgumentParser()
    if name == "python3":
        parser.add_argument("--model-path", dest="model", required=True)
    else:
        parser.add_argument("model")
    host, port = address[name].split()
    parser.add_argument(f"--{host}", dest="host", required=True)
    parser.add_argument(f"--{port}", dest="port", type=int, required=True)
    parser.add_argument("--served-model-name", "--model-name", dest="names", nargs="*")
    args = parser.parse_known_args(words[len(command) :])[0]
    serve(args.host, args.port, args.names or [args.model])


# ---------------------------------------------------------------- a server


def serve(host: str, port: int, models: list[str], store: Path | None = None) -> None:
    """An OpenAI-compatible API; with a store, Ollama's own beside it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path in ("/health", "/api/version", "/version"):
                self.reply(200, {"version": "9.9"})
            elif self.path == "/v1/models":
                names = stored(store) if store else models
                self.reply(200, {"data": [{"id": name} for name in names]})
            else:
                self.reply(404, {})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            names = stored(store) if store else models
            if self.path == "/api/pull" and store:
                self.reply_lines(pull(store, body["model"]))
            elif self.path == "/api/create" and store:
                (store / f"{body['model'].replace(':', '@')}.model").touch()
                self.reply(200, {"status": "success"})
            elif body.get("model") not in names:
                self.reply(404, {"error": {"message": f"model {body.get('model')} not found"}})
            else:
                self.reply(200, {"choices": [{"message": {"content": "hello"}}]})

        def reply(self, status: int, body: dict[str, Any]) -> None:
            self.reply_bytes(status, json.dumps(body).encode())

        def reply_lines(self, events: list[dict[str, object]]) -> None:
            self.reply_bytes(200, b"".join(json.dumps(event).encode() + b"\n" for event in events))

        def reply_bytes(self, status: int, data: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    print("stand-in listening", flush=True)
    ThreadingHTTPServer((host, port), Handler).serve_forever()


# ---------------------------------------------------------------- ollama


def ollama(words: list[str]) -> int:
    """`serve` with what OLLAMA_HOST and OLLAMA_MODELS say; `create NAME -f MODELFILE`."""
    host = os.environ["OLLAMA_HOST"].removeprefix("http://")
    if words == ["serve"]:
        address, _, port = host.partition(":")
        serve(address, int(port), [], Path(os.environ["OLLAMA_MODELS"]))
    name, flag, modelfile = words[1:]
    if words[0] != "create" or flag != "-f":
        return 2
    first = Path(modelfile).read_text().splitlines()[0]
    if not Path(first.removeprefix("FROM ")).is_file():
        sys.stderr.write(f"Error: {first}: no such file\n")
        return 1
    body = json.dumps({"model": name}).encode()
    urlopen(Request(f"http://{host}/api/create", body, {"Content-Type": "application/json"}))
    return 0


def stored(store: Path) -> list[str]:
    return sorted(path.stem.replace("@", ":") for path in store.glob("*.model"))


def pull(store: Path, name: str) -> list[dict[str, object]]:
    if name not in LIBRARY:
        return [{"error": "pull model manifest: file does not exist"}]
    (store / f"{name.replace(':', '@')}.model").touch()
    return [
        {"status": "pulling manifest"},
        {"status": "pulling abc", "total": 100, "completed": 40},
        {"status": "pulling abc", "total": 100, "completed": 100},
        {"status": "success"},
    ]


# ---------------------------------------------------------------- docker


def docker(words: list[str]) -> int:
    """A client of the daemon in `docker_daemon.py`, by files in the bench's folder `docker`."""
    root = BENCH / "docker"
    image = root / "images" / words[-1].replace("/", "_")
    if words[:2] == ["image", "inspect"]:
        if not image.exists():
            sys.stderr.write("Error: No such image\n")
            return 1
        print("sha256:" + "d" * 64)
    elif words[0] == "pull":
        if "absent" in words[-1]:
            sys.stderr.write("Error response from daemon: manifest unknown\n")
            return 1
        image.touch()
    elif words[0] == "rm":
        return remove(find(root, words[-1]))
    elif words[0] == "ps":
        wanted = {word.removeprefix("label=") for word in words if word.startswith("label=")}
        for folder in (root / "containers").iterdir():
            if wanted <= set(json.loads((folder / "labels").read_text())):
                print((folder / "id").read_text())
    elif words[0] == "run":
        return run(root, words[1:])
    return 0


def run(root: Path, words: list[str]) -> int:
    """`docker run` in the foreground: hand SIGTERM on, end with the container, remove it."""
    alone = ("--rm", "--init")
    given: dict[str, list[str]] = {}
    while words[0].startswith("--"):
        flag = words.pop(0)
        given.setdefault(flag, []).append("" if flag in alone else words.pop(0))
    arguments = words[1:]  # after the image
    variables = {name: os.environ[name] for name in given["--env"]}
    folder = root / "containers" / given["--name"][0]
    folder.mkdir()
    (folder / "labels").write_text(json.dumps(given.get("--label", [])))
    (folder / "id").write_text("c" * 64)
    order = {"argv": [given["--entrypoint"][0], *arguments], "env": variables}
    (folder / "order.new").write_text(json.dumps(order))
    (folder / "order.new").rename(folder / "order")
    Path(given["--cidfile"][0]).write_text("c" * 64)
    signal.signal(signal.SIGTERM, lambda *_: (folder / "terminate").touch())
    while not (folder / "exit").exists():
        time.sleep(POLL_S)
    code = int((folder / "exit").read_text())
    remove(folder)
    return code


def find(root: Path, word: str) -> Path:
    """A container by its name or id."""
    for folder in (root / "containers").iterdir():
        if (folder / "id").read_text() == word:
            return folder
    return root / "containers" / word


def remove(folder: Path) -> int:
    """`docker rm --force`: it is gone when the daemon has taken its folder away."""
    if not folder.exists():
        sys.stderr.write(f"Error: No such container: {folder.name}\n")
        return 1
    (folder / "remove").touch()
    while folder.exists():
        time.sleep(POLL_S)
    return 0


if __name__ == "__main__":
    main()

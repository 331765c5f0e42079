"""Records from ModelScope, by its own library, from a stand-in of the hub on this machine."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from nightbench import data
from nightbench.errors import DataError

REPOSITORY = "AI-ModelScope/IQuiz"
ROWS = [{"question": "1?", "choices": ["a", "b"], "answer": "A", "level": 1}]
FILES = {"IQ.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS).encode()}
# The library reads its environment when it is imported: each reading is a process of its own.
READ = f"""
import json
from nightbench import data
from nightbench.errors import DataError
try:
    print(json.dumps(data.read_hub("modelscope", {REPOSITORY!r}, "IQ", "test", hint="LOCAL")))
except DataError as error:
    print(json.dumps([error.message, error.hint]))
"""

needs_modelscope = pytest.mark.skipif(
    importlib.util.find_spec("modelscope") is None, reason="the modelscope extra is not installed"
)


class Hub:
    """What the library asks for one data set, answered."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def _handler(hub) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                hub.asked.append(parts.path)
                if parts.path.endswith("/repo/tree"):
                    self.reply(json.dumps({"Code": 200, "Success": True, "Data": listing()}))
                elif parts.path.endswith("/repo"):
                    self.reply(FILES[parse_qs(parts.query)["FilePath"][0]].decode())
                else:
                    self.reply(json.dumps({"Code": 200, "Success": True, "Data": {}}))

            def do_HEAD(self) -> None:
                self.do_GET()

            def reply(self, text: str) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                """Quiet."""

        return Handler


def listing() -> dict[str, Any]:
    return {
        "Files": [
            {
                "Path": name,
                "Name": name,
                "Type": "blob",
                "Size": len(content),
                "Revision": "a" * 40,
                "Sha256": hashlib.sha256(content).hexdigest(),
            }
            for name, content in FILES.items()
        ],
        "TotalCount": len(FILES),
    }


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield hub
    hub.http.shutdown()
    hub.http.server_close()
    thread.join()


def read(url: str, folder: Path) -> Any:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ],
        env={k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        | {"MODELSCOPE_ENDPOINT": url, "MODELSCOPE_CACHE": str(folder), "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@needs_modelscope
def test_records_come_from_the_hub_and_from_its_cache_when_it_is_away(
    hub: Hub, tmp_path: Path
) -> None:
    assert read(hub.url, tmp_path) == ROWS
    assert any(REPOSITORY in path for path in hub.asked)
    assert read("http://127.0.0.1:9", tmp_path) == ROWS


@needs_modelscope
def test_a_hub_that_is_away_names_the_local_way_at_once(tmp_path: Path) -> None:
    started_s = time.monotonic()

    message, hint = read("http://127.0.0.1:9", tmp_path)

    assert f"{REPOSITORY} could not be read from modelscope" in message
    assert hint == "LOCAL"
    assert time.monotonic() - started_s < 25


def test_without_the_package_one_message_names_the_extra_and_the_local_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "modelscope", None)

    with pytest.raises(DataError, match="modelscope package is not installed") as refused:
        data.read_hub("modelscope", REPOSITORY, "IQ", "test", hint="LOCAL")

    assert "pip install 'nightbench[modelscope]'" in refused.value.hint
    assert "--data FOLDER" in refused.value.hint

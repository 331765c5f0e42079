"""Records and prompts from ModelScope, by its own client, from a stand-in of the hub."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import requires
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

REPOSITORY = "AI-ModelScope/IQuiz"
ROWS = [{"question": "1?", "choices": ["a", "b"], "answer": "A", "level": 1}]
QUESTIONS = [{"question": f"Question {n}?"} for n in range(12)]


def lines(rows: Sequence[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


FILES = {"IQ.jsonl": lines(ROWS), "EQ.jsonl": lines(ROWS), "open_qa.jsonl": lines(QUESTIONS)}
# The library reads its environment when it is imported: each reading is a process of its own.
READ = f"""
import json
from nightbench.data import loading as data
from nightbench.errors import DataError
try:
    print(json.dumps(data.read_hub("modelscope", {REPOSITORY!r}, "IQ", "test", hint="LOCAL")))
except DataError as error:
    print(json.dumps([error.message, error.hint]))
"""


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


def environment(url: str, folder: Path) -> dict[str, str]:
    own = {"MODELSCOPE_ENDPOINT": url, "MODELSCOPE_CACHE": str(folder), "HOME": str(folder)}
    return {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")} | own


def read(url: str, folder: Path, script: str = READ) -> Any:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env=environment(url, folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_records_come_from_the_hub_and_from_its_cache_when_it_is_away(
    hub: Hub, tmp_path: Path
) -> None:
    assert read(hub.url, tmp_path) == ROWS
    assert any(REPOSITORY in path for path in hub.asked)
    assert read("http://127.0.0.1:9", tmp_path) == ROWS


def test_a_hub_that_is_away_names_the_local_way_at_once(tmp_path: Path) -> None:
    started_s = time.monotonic()

    message, hint = read("http://127.0.0.1:9", tmp_path)

    assert f"{REPOSITORY} could not be read from modelscope" in message
    assert hint == "LOCAL"
    assert time.monotonic() - started_s < 25


PROMPTS = """
import json
from pathlib import Path
from nightbench.errors import DataError
from nightbench.load.plan.workloads import read_prompts
from nightbench.suite.models import Workload
try:
    print(json.dumps(list(read_prompts(Workload(kind="openqa"), 12, 0, Path()).texts)))
except DataError as error:
    print(json.dumps(error.message))
"""


def test_openqa_comes_by_name_once_and_is_there_when_the_hub_is_away(
    hub: Hub, tmp_path: Path
) -> None:
    prompts = read(hub.url, tmp_path, PROMPTS)
    assert sorted(prompts) == sorted(row["question"] for row in QUESTIONS)
    assert any("AI-ModelScope/HC3-Chinese" in path for path in hub.asked)
    asked = len(hub.asked)
    assert read(hub.url, tmp_path, PROMPTS) == prompts
    assert len(hub.asked) == asked
    assert read("http://127.0.0.1:9", tmp_path, PROMPTS) == prompts


def test_openqa_names_its_place_where_it_cannot_be_had(tmp_path: Path) -> None:
    assert read("http://127.0.0.1:9", tmp_path, PROMPTS) == (
        "modelscope:AI-ModelScope/HC3-Chinese/open_qa.jsonl is not here, "
        "and the hub cannot be reached"
    )


def test_the_plain_install_brings_modelscopes_client() -> None:
    plain = [line for line in requires("nightbench") or [] if "extra ==" not in line]
    assert any(line.startswith("modelscope-hub") for line in plain)


SUITE = """
name: mine
targets:
  - {name: theirs, served_model_name: m, engine: {kind: remote, base_url: "http://127.0.0.1:9/v1"}}
accuracy: [{benchmark: iquiz}]
load:
  - {name: openqa, workload: {kind: openqa}, max_concurrency: [1, 2], num_prompts: 5}
"""


def nightbench(url: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "nightbench.cli.main", *words],
        env=environment(url, folder) | {"NIGHTBENCH_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_plan_lists_what_is_missing_and_fetch_brings_it(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(SUITE)
    suite = str(tmp_path / "mine.yaml")
    before = nightbench(hub.url, tmp_path, "plan", suite)
    assert before.returncode == 0, before.stderr
    assert "iquiz (modelscope:AI-ModelScope/IQuiz): not fetched yet" in before.stdout
    assert "openqa (modelscope:AI-ModelScope/HC3-Chinese/open_qa.jsonl)" in before.stdout
    away = nightbench("http://127.0.0.1:9", tmp_path, "fetch", suite)
    assert away.returncode == 2
    assert "benchmark iquiz" in away.stderr
    assert "workload openqa" in away.stderr
    fetched = nightbench(hub.url, tmp_path, "fetch", suite)
    assert fetched.returncode == 0, fetched.stderr
    assert "benchmark iquiz: 2 questions, records " in fetched.stdout
    assert "workload openqa: 10 prompts, digest " in fetched.stdout
    after = nightbench("http://127.0.0.1:9", tmp_path, "plan", suite)
    assert "Missing on this machine" not in after.stdout

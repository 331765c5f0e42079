"""Models from hubs: the hubs' own libraries against a stand-in of the hub on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hub_server import COMMIT, FILES, KEY, Hub, hub, sha256

from nightbench.errors import DataError
from nightbench.serving import provenance
from nightbench.serving.provision import hubs

# The libraries read their environment when they are imported: each fetch is a process of its own.
FETCH = """
import json, sys
from pathlib import Path
from nightbench.errors import DataError
from nightbench.home.paths import Home
from nightbench.serving.provision import models
said = []
try:
    path = models.resolve(sys.argv[1], Home(Path("home")), None, Path(), on_progress=said.append)
    found = {"path": str(path)}
except DataError as error:
    found = {"message": error.message, "hint": error.hint}
print(json.dumps(found | {"said": [[p.detail, p.done, p.total] for p in said]}))
"""


@dataclass
class Fetcher:
    """Fetches in `folder`, from `server`."""

    folder: Path
    server: Hub

    def fetch(self, model: str, **env: str) -> dict[str, object]:
        environ = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", FETCH, model],
            env=environ
            | {
                "HF_ENDPOINT": self.server.url,
                "HF_HOME": str(self.folder / "hf"),
                "HF_HUB_DISABLE_XET": "1",
                "MODELSCOPE_ENDPOINT": self.server.url,
                "MODELSCOPE_CACHE": str(self.folder / "ms"),
                "MODELSCOPE_HOME": str(self.folder / "ms-home"),
                "HOME": str(self.folder),
            }
            | env,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture
def fetcher(tmp_path: Path) -> Iterator[Fetcher]:
    with hub() as server:
        yield Fetcher(tmp_path, server)


def test_a_model_is_fetched_once_without_the_same_weights_in_other_formats(
    fetcher: Fetcher,
) -> None:
    found = fetcher.fetch("hf:org/tiny@v1")
    path = Path(str(found["path"]))
    assert {file.name for file in path.iterdir()} == {"config.json", "model.safetensors"}
    assert (path / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert sorted(fetcher.server.fetched()) == ["config.json", "model.safetensors"]
    said = found["said"]
    assert isinstance(said, list)
    assert "fetching 2 files" in said[0][0]
    assert said[-1][1:] == [said[-1][2]] * 2, "the last that is said is that all of it came"
    fetcher.server.requests.clear()
    assert fetcher.fetch("hf:org/tiny@v1")["path"] == str(path)
    assert fetcher.server.fetched() == []


def test_its_commit_and_its_digests_are_provenance(fetcher: Fetcher) -> None:
    path = Path(str(fetcher.fetch("hf:org/tiny")["path"]))
    assert provenance.hub_revision(path) == COMMIT
    before = provenance.describe_weights(path)
    assert (path / "model.safetensors").resolve().name == sha256("model.safetensors")
    blob = path / "model.safetensors"
    other = blob.resolve().with_name("f" * 64)
    other.write_bytes(FILES["model.safetensors"][::-1])
    blob.unlink()
    blob.symlink_to(other)
    assert provenance.describe_weights(path) != before, "of the same size, and another"


def test_a_fetch_that_is_cut_goes_on_where_it_was(fetcher: Fetcher) -> None:
    fetcher.server.cut_after = 20_000_000
    path = Path(str(fetcher.fetch("hf:org/tiny")["path"]))
    assert (path / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    ranges = [range_ for _, _, range_ in fetcher.server.requests if range_]
    assert len(ranges) == 1
    assert int(ranges[0].removeprefix("bytes=").partition("-")[0]) >= 10_000_000


def test_a_fetch_that_died_is_taken_up_at_its_missing_files(fetcher: Fetcher) -> None:
    fetcher.server.cut_after, fetcher.server.away_after_cut = 1000, True
    died = fetcher.fetch("hf:org/tiny")
    assert "the hub answers HTTP 503" in str(died["message"])
    fetcher.server.status = None
    fetcher.server.requests.clear()
    assert "path" in fetcher.fetch("hf:org/tiny")
    assert fetcher.server.fetched() == ["model.safetensors"]


def test_offline_what_is_there_is_used_and_half_of_it_is_not(fetcher: Fetcher) -> None:
    absent = fetcher.fetch("hf:org/tiny", HF_HUB_OFFLINE="1")
    assert "hf:org/tiny is not here, and the hub cannot be reached" in str(absent["message"])
    whole = fetcher.fetch("hf:org/tiny")["path"]
    assert fetcher.fetch("hf:org/tiny", HF_HUB_OFFLINE="1")["path"] == whole
    nobody = fetcher.fetch("hf:org/tiny", HF_ENDPOINT="http://127.0.0.1:9")
    assert nobody["path"] == whole
    (Path(str(whole)) / "model.safetensors").unlink()
    half = fetcher.fetch("hf:org/tiny", HF_HUB_OFFLINE="1")
    assert "only partly downloaded" in str(half["message"])


def test_no_network_is_one_message(fetcher: Fetcher) -> None:
    found = fetcher.fetch("hf:org/tiny", HF_ENDPOINT="http://127.0.0.1:9")
    assert "hub cannot be reached" in str(found["message"])
    assert "Connection refused" in str(found["message"])


def test_a_model_or_a_revision_that_is_not_there_is_named(fetcher: Fetcher) -> None:
    assert "there is no hf:org/other, or it is private" in str(
        fetcher.fetch("hf:org/other")["message"]
    )
    assert "hf:org/tiny has no revision v9" in str(fetcher.fetch("hf:org/tiny@v9")["message"])


def test_a_wrong_key_and_a_right_one(fetcher: Fetcher) -> None:
    wrong = fetcher.fetch("hf:org/tiny", HF_TOKEN="hf_wrong")
    assert "refuses the key" in str(wrong["message"])
    assert "HF_TOKEN" in str(wrong["hint"])
    assert "hf_wrong" not in json.dumps(wrong)
    assert "path" in fetcher.fetch("hf:org/tiny", HF_TOKEN=KEY)


def test_a_gated_model_says_what_to_do(fetcher: Fetcher) -> None:
    fetcher.server.gated = True
    assert "hf:org/tiny is gated" in str(fetcher.fetch("hf:org/tiny")["message"])


def test_a_rate_limit_is_told_as_one(fetcher: Fetcher) -> None:
    fetcher.server.status = 429
    assert "limits the rate" in str(fetcher.fetch("hf:org/tiny")["message"])


@pytest.mark.parametrize("model", ["hf:org/tiny", "modelscope:org/tiny"])
def test_a_model_larger_than_the_disk_is_refused_before_anything_is_fetched(
    fetcher: Fetcher, model: str
) -> None:
    fetcher.server.claimed_size = 10**16
    found = fetcher.fetch(model)
    assert "more, and" in str(found["message"])
    assert " GB free" in str(found["message"])
    assert fetcher.server.fetched() == []


def test_a_modelscope_model_is_fetched_and_is_there_offline(fetcher: Fetcher) -> None:
    path = Path(str(fetcher.fetch("modelscope:org/tiny@v1")["path"]))
    assert (path / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert not (path / "pytorch_model.bin").exists()
    nobody = fetcher.fetch("modelscope:org/tiny@v1", MODELSCOPE_ENDPOINT="http://127.0.0.1:9")
    assert nobody["path"] == str(path)


def test_what_modelscope_lacks_is_named(fetcher: Fetcher) -> None:
    missing = fetcher.fetch("modelscope:org/other")
    assert "there is no modelscope:org/other, or it is private" in str(missing["message"])
    revision = fetcher.fetch("modelscope:org/tiny@v9")
    assert "modelscope:org/tiny has no revision v9" in str(revision["message"])
    nobody = fetcher.fetch("modelscope:org/tiny", MODELSCOPE_ENDPOINT="http://127.0.0.1:9")
    assert "hub cannot be reached" in str(nobody["message"])


@pytest.mark.parametrize("model", ["hf:tiny", "hf:org/", "hf:org/a/b@main", "modelscope:"])
def test_what_names_no_repository_is_refused(model: str) -> None:
    with pytest.raises(DataError, match="does not name a repository"):
        hubs.parse(model)


def test_a_disk_that_fills_meanwhile_is_told_as_that() -> None:
    full = OSError(28, "No space left on device")
    wrapped = RuntimeError("download failed")
    wrapped.__cause__ = full
    error = hubs.problem(hubs.parse("hf:org/tiny"), wrapped, None, "HF_TOKEN")
    assert "the disk is full, hf:org/tiny could not be fetched" in error.message

"""How a level is driven: what is sent, how it ends early, what is left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nightbench.endpoint import Endpoint
from nightbench.load.drive.generator_processes import GeneratorFailed
from nightbench.load.measure import measure_level
from nightbench.load.native import parts
from nightbench.load.plan.workloads import prompt_hash
from nightbench.progress import Progress
from tests.truth.driving import drive, planned, requests_of
from tests.truth.reference import ReferenceServer

pytestmark = pytest.mark.truth


@pytest.fixture(scope="module")
def server() -> Iterator[ReferenceServer]:
    with ReferenceServer(ttft_ms=20, itl_ms=5) as server:
        yield server


def children() -> set[int]:
    """Processes whose parent is this one."""
    mine = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            mine.add(int(stat.parent.name))
    return mine


def test_the_server_gets_the_planned_prompts_and_the_warm_ups_come_first(
    server: ReferenceServer, tmp_path: Path
) -> None:
    fields = {"max_concurrency": 3, "num_prompts": 12, "warmup_prompts": 4}
    measured = drive(server, tmp_path, **fields)
    _, prompts = planned(**fields)
    got = [record["prompt"] for record in server.truth()]
    assert sorted(got[:4]) == sorted(prompts.slice(0, 4))
    assert sorted(got[4:]) == sorted(prompts.slice(4, 12))
    rows = sorted(requests_of(measured), key=lambda row: int(row["request_index"]))
    assert [row["prompt_hash"] for row in rows] == [prompt_hash(p) for p in prompts.slice(4, 12)]
    assert measured.level.num_prompts == 12


def test_a_reason_to_stop_ends_the_level_and_keeps_what_was_measured(
    server: ReferenceServer, tmp_path: Path
) -> None:
    before = children()
    begun = time.monotonic()

    def stop() -> str | None:
        return "server_died" if time.monotonic() - begun > 1.0 else None

    measured = drive(server, tmp_path, how={"stop": stop}, max_concurrency=2, num_prompts=2000)
    assert time.monotonic() - begun < 4
    assert measured.level.invalid_reasons[0] == "server_died"
    assert measured.level.completed > 5
    kinds = {row["error_kind"] for row in requests_of(measured)}
    assert kinds == {None, "stopped"}
    assert children() == before


def test_a_reason_to_stop_during_the_warm_up_ends_it_too(
    server: ReferenceServer, tmp_path: Path
) -> None:
    measured = drive(
        server,
        tmp_path,
        how={"stop": lambda: "server_died"},
        max_concurrency=1,
        num_prompts=5,
        warmup_prompts=500,
    )
    assert measured.level.completed == 0
    assert "server_died" in measured.level.invalid_reasons


def test_a_server_that_dies_under_load_leaves_rows_and_no_exception(tmp_path: Path) -> None:
    with ReferenceServer(ttft_ms=20, itl_ms=5) as server:

        def kill_later(progress: Progress) -> None:
            if progress.done:
                server.kill()

        measured = drive(
            server, tmp_path, how={"on_progress": kill_later}, max_concurrency=4, num_prompts=400
        )
    kinds = {row["error_kind"] for row in requests_of(measured)}
    assert None in kinds
    assert "connect_refused" in kinds
    assert measured.level.num_prompts == 400
    assert "failures" in measured.level.invalid_reasons


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_ends_the_children_and_is_raised_again(
    server: ReferenceServer, tmp_path: Path, interrupt: type[BaseException]
) -> None:
    def raise_it(progress: Progress) -> None:
        if progress.done:
            raise interrupt

    before = children()
    begun = time.monotonic()
    with pytest.raises(interrupt):
        drive(server, tmp_path, how={"on_progress": raise_it}, max_concurrency=2, num_prompts=2000)
    assert time.monotonic() - begun < 5
    assert children() == before


def test_the_api_key_is_in_no_argv_no_environment_and_no_file(
    server: ReferenceServer, tmp_path: Path
) -> None:
    seen: list[bytes] = []

    def look(progress: Progress) -> None:
        for pid in children() - {server.pid}:
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # it is done
                seen.append(Path(f"/proc/{pid}/cmdline").read_bytes())
                seen.append(Path(f"/proc/{pid}/environ").read_bytes())
        seen.extend(path.read_bytes() for path in tmp_path.iterdir())

    drive(server, tmp_path, how={"on_progress": look}, max_concurrency=2, num_prompts=60)
    assert len(seen) > 4
    assert not any(b"s3cret" in data for data in seen)
    assert not any(path.suffix == ".raw" for path in tmp_path.iterdir())


def test_progress_counts_up_to_the_number_of_prompts(
    server: ReferenceServer, tmp_path: Path
) -> None:
    heard: list[Progress] = []
    drive(server, tmp_path, how={"on_progress": heard.append}, max_concurrency=2, num_prompts=60)
    counts = [progress.done or 0 for progress in heard]
    assert counts == sorted(counts)
    assert {progress.total for progress in heard} == {60}
    assert {progress.phase for progress in heard} == {"requests"}


def test_the_same_night_is_measured_under_the_same_key(
    server: ReferenceServer, tmp_path: Path
) -> None:
    first = drive(server, tmp_path, max_concurrency=2, num_prompts=6).level
    again = drive(server, tmp_path, max_concurrency=2, num_prompts=6).level
    other = drive(server, tmp_path, max_concurrency=2, num_prompts=7).level
    assert first.measurement_key == again.measurement_key != other.measurement_key


def test_tls_is_spoken_and_keeps_the_kernels_stamps(
    server: ReferenceServer, tmp_path: Path, tls_front: Callable[[int], int]
) -> None:
    level, prompts = planned(max_concurrency=3, num_prompts=12)
    url = f"https://127.0.0.1:{tls_front(server.port)}/v1"
    endpoint = Endpoint(base_url=url, model="truth", verify_tls=False)
    measured = measure_level(level, prompts, endpoint, work_dir=tmp_path)
    assert measured.level.completed == 12
    assert measured.level.stamp_source == "kernel"
    assert measured.level.mean_ttft_ms == pytest.approx(20, abs=8)


def test_a_certificate_nobody_vouches_for_is_refused(
    server: ReferenceServer, tmp_path: Path, tls_front: Callable[[int], int]
) -> None:
    level, prompts = planned(max_concurrency=1, num_prompts=2)
    endpoint = Endpoint(base_url=f"https://127.0.0.1:{tls_front(server.port)}/v1", model="truth")
    measured = measure_level(level, prompts, endpoint, work_dir=tmp_path)
    rows = requests_of(measured)
    assert {row["error_kind"] for row in rows} == {"tls"}
    assert "certificate" in rows[0]["error"]


def test_a_parser_that_does_not_fit_is_said_before_anything_is_sent(
    server: ReferenceServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in parts.FOLDER.iterdir():
        if path.suffix in (".c", ".h", ".so"):
            shutil.copy(path, tmp_path)
    (tmp_path / "_answers.so").write_bytes(b"no library at all")
    monkeypatch.setattr(parts, "FOLDER", tmp_path)
    server.reset()
    with pytest.raises(GeneratorFailed, match="reinstall nightbench"):
        drive(server, tmp_path, max_concurrency=1, num_prompts=1)
    assert server.truth() == []

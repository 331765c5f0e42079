"""`nightbench up` on a Postgres, behind a password, for a team."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from up_house import UpHouse

from nightbench.home.paths import Home
from nightbench.serving.probing import free_port

pytestmark = [pytest.mark.up, pytest.mark.timeout(900)]

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
AUTH = "night:owl-and-moon"
PASSWORD = "hush-hush"


def as_postgres(*argv: str | Path) -> None:
    """Postgres refuses to be root."""
    prefix = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    subprocess.run([*prefix, *map(str, argv)], check=True, capture_output=True)


@pytest.fixture
def postgres() -> Iterator[str]:
    """The URL of an empty database that wants a password, without it."""
    if not BINARIES:
        pytest.skip("there is no Postgres on this machine")
    folder = Path(tempfile.mkdtemp(prefix="nightbench-pg-"))
    password = folder / "password"
    password.write_text(PASSWORD, encoding="utf-8")
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
        shutil.chown(password, "postgres")
    data, port = folder / "data", free_port()
    make = [BINARIES[-1] / "initdb", "-D", data, "-U", "nightbench", "-A", "scram-sha-256"]
    as_postgres(*make, f"--pwfile={password}")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    control = BINARIES[-1] / "pg_ctl"
    as_postgres(control, "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
    try:
        yield f"postgresql://nightbench@127.0.0.1:{port}/postgres"
    finally:
        as_postgres(control, "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


def test_a_team_shares_a_postgres_and_a_password_and_neither_is_on_a_command_line(
    tmp_path: Path, postgres: str
) -> None:
    house = UpHouse(tmp_path, "--host", "0.0.0.0", "--database-url", postgres)  # noqa: S104
    house.env |= {"PGPASSWORD": PASSWORD, "PREFECT_SERVER_API_AUTH_STRING": AUTH}
    house.write_suite()
    secret = AUTH.partition(":")[2]
    try:
        house.up()
        assert "warning" not in house.said()
        assert httpx.post(f"{house.url}/flow_runs/filter", json={}).status_code == 401
        run = house.click("nightly/smoke", suite="reference")
        house.wait_for(run, "COMPLETED")
        assert house.sql("SELECT status FROM runs") == [{"status": "completed"}]
        lines = [
            " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])
        ]
        assert not [line for line in lines if PASSWORD in line or secret in line]
        assert not (Home(tmp_path / "home").prefect / "prefect.db").exists()
        assert not [p for p in Home(tmp_path / "home").logs.rglob("*") if leaks(p)]
        assert house.down() == 0
    finally:
        house.end()


def leaks(path: Path) -> bool:
    """Whether a file tells one of the secrets."""
    text = path.read_bytes() if path.is_file() else b""
    return PASSWORD.encode() in text or AUTH.partition(":")[2].encode() in text

"""What is offered under infra/ is of one piece with the command line and with Prefect."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from prefect.utilities.templating import apply_values, find_placeholders

from nightbench.cli import up_command
from nightbench.serving.hardware import lease_folder

INFRA = Path(__file__).parents[3] / "infra"
UNITS = sorted((INFRA / "systemd").glob("*.service"))
COMPOSE = yaml.safe_load((INFRA / "compose.yaml").read_text(encoding="utf-8"))
JOB = json.loads((INFRA / "kubernetes" / "gpu4.json").read_text(encoding="utf-8"))


def up_accepts(words: list[str]) -> bool:
    """Whether the command line takes it; argparse exits where it does not."""
    parser = ArgumentParser()
    up_command.add_parser(parser.add_subparsers())
    parser.parse_args(words)
    return True


def settings(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"(\w+)=(.*)", line):
            found.setdefault(match[1], []).append(match[2])
    return found


def environment_file() -> dict[str, str]:
    """Every variable of the example, those that are commented out too."""
    text = (INFRA / "systemd" / "nightbench.env").read_text(encoding="utf-8")
    return dict(re.findall(r"^#?([A-Z_]+)=(.*)$", text, re.MULTILINE))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_what_the_command_line_takes(unit: Path) -> None:
    [line] = settings(unit)["ExecStart"]
    for name, value in environment_file().items():
        line = line.replace(f"${{{name}}}", value).replace(f"${name}", value)
    program, *words = shlex.split(line.replace("%i", "gpu4"))
    assert program.endswith("/bin/nightbench")
    assert "$" not in line
    assert up_accepts(words)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_gives_an_engine_time_to_go_and_lets_one_die_alone(unit: Path) -> None:
    said = settings(unit)
    assert said["KillMode"] == ["mixed"]
    assert int(said["TimeoutStopSec"][0]) > 40  # Prefect's 30 s, and some
    assert said["OOMPolicy"] == ["continue"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_a_unit(unit: Path, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    text = unit.read_text(encoding="utf-8")
    text = re.sub(r"/opt/nightbench\S*", "/bin/true", text)  # not installed where tests run
    copy = tmp_path / unit.name.replace("@", "@gpu4")
    copy.write_text(text.replace("EnvironmentFile=", "EnvironmentFile=-"), encoding="utf-8")
    said = subprocess.run(
        [analyze, "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    assert str(tmp_path) not in said.stderr  # a directive it does not know is a line about it


@pytest.mark.parametrize("name", ["server", "worker"])
def test_a_container_starts_what_the_command_line_takes(name: str) -> None:
    service = COMPOSE["services"][name]
    assert up_accepts(service["command"])
    assert any(volume.endswith(":/var/lib/nightbench") for volume in service["volumes"])
    assert int(service["stop_grace_period"].removesuffix("s")) > 40


def test_the_containers_ui_asks_who_is_there_and_is_published_on_this_machine_only() -> None:
    server = COMPOSE["services"]["server"]
    assert ":?" in server["environment"]["PREFECT_SERVER_API_AUTH_STRING"]
    assert all(port.startswith("127.0.0.1:") for port in server["ports"])


def test_no_password_is_written_down() -> None:
    for file in INFRA.rglob("*"):
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            for _, value in re.findall(r"(PASSWORD|AUTH_STRING)[:=]\s*(\S+)", text):
                assert value.startswith(("${", "…", "user:password")), f"{file}: {value}"


def test_a_worker_calls_the_server_by_a_name_that_the_server_answers() -> None:
    [joined] = [word for word in COMPOSE["services"]["worker"]["command"] if "--join=" in word]
    name = urlsplit(joined.removeprefix("--join=")).hostname
    assert f"--allowed-host={name}" in COMPOSE["services"]["server"]["command"]


def test_a_run_chooses_nothing_of_a_job_but_its_hardware_and_its_times() -> None:
    chosen = set(JOB["variables"]["properties"])
    assert chosen == {
        *("name", "labels", "gpus", "node_selector", "cpu_request"),
        *("memory_request", "memory_limit", "shared_memory", "finished_job_ttl"),
        *("job_watch_timeout_seconds", "pod_watch_timeout_seconds", "stream_output"),
    }
    assert JOB["variables"]["additionalProperties"] is False


def test_every_placeholder_of_the_job_is_a_variable_that_can_be_set() -> None:
    used = {placeholder.name for placeholder in find_placeholders(JOB["job_configuration"])}
    assert used == set(JOB["variables"]["properties"])


def manifest(**values: Any) -> dict[str, Any]:
    """The job as Prefect fills it in."""
    properties = JOB["variables"]["properties"]
    defaults = {name: of["default"] for name, of in properties.items() if "default" in of}
    filled = apply_values(JOB["job_configuration"]["job_manifest"], defaults | values)
    assert isinstance(filled, dict)
    return filled


def test_a_job_gets_four_gpus_shared_memory_and_the_models() -> None:
    pod = manifest()["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 4
    assert container["resources"]["requests"]["nvidia.com/gpu"] == 4
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounted["shared-memory"] == "/dev/shm"
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["shared-memory"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "16Gi"}
    assert volumes["models"]["persistentVolumeClaim"]["claimName"] == "models"
    assert set(mounted) == set(volumes)


def test_a_job_is_never_repeated_and_has_time_to_let_go() -> None:
    spec = manifest()["spec"]
    assert spec["backoffLimit"] == 0
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > 40


def test_another_node_may_have_other_gpus() -> None:
    pod = manifest(gpus=8, node_selector={"gpu": "h200"})["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 8
    assert pod["nodeSelector"] == {"gpu": "h200"}


def test_the_places_are_those_that_nightbench_uses() -> None:
    mounts = manifest()["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    paths = {mount["name"]: mount["mountPath"] for mount in mounts}
    dockerfile = (INFRA / "Dockerfile").read_text(encoding="utf-8")
    assert f"ENV NIGHTBENCH_HOME={paths['home']}\n" in dockerfile
    made = re.search(r"install -d -o nightbench (\S+)", dockerfile)
    assert made is not None
    assert made[1] == paths["home"]
    assert paths["leases"] == str(lease_folder.SHARED)


def test_everything_makes_the_folder_of_leases_as_nightbench_wants_it() -> None:
    """Root's, writable by all, and sticky."""
    [job] = manifest()["spec"]["template"]["spec"]["initContainers"]
    said = {
        "words": lease_folder.MAKE_SHARED.removeprefix("sudo ").split(),
        "compose": COMPOSE["services"]["leases"]["entrypoint"],
        "job": job["command"],
    }
    assert said["words"] == said["compose"] == said["job"]
    assert job["securityContext"] == {"runAsUser": 0}
    for name in ("server", "worker"):
        awaited = COMPOSE["services"][name]["depends_on"]["leases"]["condition"]
        assert awaited == "service_completed_successfully"
    assert "install -d -m 1777 /var/lock/nightbench" in (INFRA / "Dockerfile").read_text()
    lines = (INFRA / "systemd" / "nightbench.conf").read_text().splitlines()
    assert lines[-1] == "d /var/lock/nightbench 1777 root root -"


@pytest.mark.skipif(shutil.which("systemd-tmpfiles") is None, reason="there is no systemd-tmpfiles")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make root's folder")
def test_systemd_makes_the_folder_of_leases(tmp_path: Path) -> None:
    done = subprocess.run(
        ["systemd-tmpfiles", "--create", f"--root={tmp_path}", "-"],
        input=(INFRA / "systemd" / "nightbench.conf").read_text(encoding="utf-8"),
        capture_output=True,
        text=True,
        check=False,
    )
    made = (tmp_path / "var" / "lock" / "nightbench").stat()
    assert stat.S_IMODE(made.st_mode) == 0o1777, done.stderr

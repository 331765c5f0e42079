"""docs/adding.md: its package is installed as it stands, and adds an engine, a workload and a
benchmark; one that is broken is in nobody's way who does not use it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from pkgutil import resolve_name

import pytest
from pydantic import TypeAdapter
from unit.cli.service import service

from flows.parameters import SuiteName, TargetName
from nightbench import plugins
from nightbench.accuracy import benchmarks
from nightbench.cli.main import main
from nightbench.endpoint import Endpoint
from nightbench.errors import BadInput, PluginError
from nightbench.home.paths import Home
from nightbench.load.plan.workloads import read_prompts
from nightbench.load.prefix_cache import reset_prefix_cache
from nightbench.night.run import config_digest
from nightbench.serving.hardware.gpus import Inventory
from nightbench.serving.hardware.machine import Machine
from nightbench.serving.server import serve
from nightbench.suite.file import read_suite
from nightbench.suite.models import LoadSpec

DOC = (Path(__file__).parents[2] / "docs" / "adding.md").read_text(encoding="utf-8")
BLOCKS = {
    match["name"] or match["language"]: match["text"]
    for match in re.finditer(
        r"```(?P<language>\w+)\n(?:# (?P<name>[\w./]+)\n)?(?P<text>.*?)```", DOC, re.DOTALL
    )
}
SMALL_SERVER = Path(__file__).parent / "serving" / "small_server.py"
ACME_SERVER = f"""#!{sys.executable}
import os, sys
port = sys.argv[sys.argv.index("--port") + 1]
os.execv(sys.executable, [sys.executable, {str(SMALL_SERVER)!r}, port])
"""


def declare(site: Path, name: str, groups: dict[str, dict[str, str]], version: str = "1.0") -> None:
    """What an installer leaves of a distribution: its metadata."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [
        line
        for group, points in groups.items()
        for line in (f"[{group}]", *(f"{point} = {value}" for point, value in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages, for this process and those that it starts."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme_nightbench"]:
        monkeypatch.delitem(sys.modules, name)
    return folder


@pytest.fixture
def suite(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The document's package, installed; and its suite, where suites are found by name."""
    for path, text in BLOCKS.items():
        if path.startswith("acme_nightbench/"):
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_text(text)
    (site / "acme_nightbench" / "__init__.py").touch()
    project = tomllib.loads(BLOCKS["pyproject.toml"])["project"]
    declare(site, project["name"], project["entry-points"], project["version"])
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "acme-server").write_text(ACME_SERVER)
    (commands / "acme-server").chmod(0o755)
    monkeypatch.setenv("PATH", str(commands), prepend=os.pathsep)
    monkeypatch.setenv("NIGHTBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NIGHTBENCH_LEASES", str(tmp_path / "leases"))
    suites = tmp_path / "suites"
    (suites / "weights").mkdir(parents=True)
    monkeypatch.setenv("NIGHTBENCH_SUITES", str(suites))
    (suites / "acme.yaml").write_text(BLOCKS["yaml"])
    return suites / "acme.yaml"


def test_plan_shows_what_the_package_adds(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "acme"]) == 0
    shown = capsys.readouterr().out
    assert f"acme-server {suite.parent / 'weights'} --threads 2 --host 127.0.0.1" in shown
    assert "acme-server, as it is installed" in shown
    assert "acme_riddles (16 at a time)" in shown
    assert "greetings" in shown
    assert "Missing" not in shown


def test_plan_tells_an_engine_that_is_not_installed(
    suite: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["plan", "acme"]) == 0
    assert "acme-server: there is no such command" in capsys.readouterr().out


def test_its_keys_are_checked_kept_and_part_of_what_the_target_is(suite: Path) -> None:
    read = read_suite(suite).suite
    assert json.loads(read.model_dump_json())["targets"][0]["engine"]["threads"] == 2
    assert json.loads(read.model_dump_json())["load"][0]["workload"]["language"] == "fr"
    (target,) = read.targets
    suite.write_text(BLOCKS["yaml"].replace("threads: 2", "threads: 3"))
    assert config_digest(read_suite(suite).suite.targets[0]) != config_digest(target)
    suite.write_text(BLOCKS["yaml"].replace("threads: 2", "threads: many, treads: 2"))
    with pytest.raises(BadInput) as caught:
        read_suite(suite)
    assert "engine.threads: expected a valid integer" in str(caught.value)
    assert "engine.treads: unknown key; did you mean threads?" in str(caught.value)


def test_serve_starts_the_engine_and_ends_it(suite: Path) -> None:
    argv = [sys.executable, "-P", "-m", "nightbench.cli.main", "serve", str(suite)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        first = run.stdout.readline()
        run.send_signal(signal.SIGINT)
        said = run.communicate(timeout=60)[1]
    assert first.startswith("small is ready at http://127.0.0.1:"), said
    assert run.returncode == 130


def test_what_the_engine_says_of_itself_reaches_who_measures(suite: Path, tmp_path: Path) -> None:
    (target,) = read_suite(suite).suite.targets
    machine = Machine(inventory=Inventory(), cores=(0,), leases=tmp_path / "leases")
    machine.leases.mkdir()
    home, run_dir = Home(tmp_path), tmp_path / "run"
    with serve(target, home, base_dir=suite.parent, run_dir=run_dir, machine=machine) as server:
        assert server.endpoint.cache_reset_path == "/flush"
        row = server.row()
    assert row is not None
    assert (row.engine_kind, row.argv[0]) == ("acme", "acme-server")
    assert "ACME_API_KEY" in json.loads(row.env)
    assert server.endpoint.api_key not in row.env


def test_the_cache_is_emptied_where_the_engine_says(suite: Path) -> None:
    with service() as server:
        endpoint = Endpoint(base_url=server.url, model="m", cache_reset_path="/flush")
        reset_prefix_cache(endpoint)
    assert server.paths == ["/flush"]


def test_eval_asks_the_benchmark(suite: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    asked = ["eval", "--benchmark", "acme-riddles", "--json", str(results)]
    with service(answer="A piano, of course.") as server:
        assert main([*asked, "--base-url", server.url]) == 0
    found = json.loads(results.read_text())
    assert (found["num_samples"], found["accuracy"]) == (2, 0.5)


def test_load_sends_the_workloads_prompts(suite: Path) -> None:
    levels = ["--max-concurrency", "2", "--num-prompts", "3"]
    with service() as server:
        assert main(["load", "--base-url", server.url, "--dataset", "greetings:fr", *levels]) == 0
    said = {body["messages"][0]["content"] for body in server.bodies}
    assert said == {f"Bonjour, number {n}!" for n in range(3)}


def test_the_help_of_load_names_the_workload(
    suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["load", "--help"])
    assert "random:TOKENS (default random:128), greetings" in " ".join(
        capsys.readouterr().out.split()
    )


def test_a_suites_load_has_the_keys_of_its_kind(suite: Path) -> None:
    (load,) = read_suite(suite).suite.load
    again = LoadSpec.model_validate(load.model_dump())
    assert list(read_prompts(again.workload, 1, 7, suite.parent).texts) == ["Bonjour, number 7!"]


def test_doctor_lists_what_the_package_adds(
    suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["doctor"])
    shown = capsys.readouterr().out
    for what in ("engine acme", "workload greetings", "benchmark acme_riddles"):
        assert re.search(rf"^{what} +of acme-nightbench 1.2: usable$", shown, re.MULTILINE)


def test_new_suite_asks_for_the_engine_and_writes_it(suite: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    flags = ["--yes", "--engine", "acme", "--model", "weights", "--benchmarks", "acme_riddles"]
    assert main(["new-suite", str(path), *flags]) == 0
    (target,) = read_suite(path).suite.targets
    assert (target.engine.kind, getattr(target.engine, "threads", None)) == ("acme", 4)


def test_the_form_offers_the_suite_and_its_target(suite: Path) -> None:
    assert "acme" in TypeAdapter(SuiteName).json_schema()["enum"]
    assert "acme-tiny" in TypeAdapter(TargetName).json_schema()["enum"]


def test_nothing_of_a_package_is_imported_for_a_suite_that_does_not_use_it(suite: Path) -> None:
    code = (
        "import sys\nfrom nightbench.cli.main import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "print([n for n in sys.modules if n.startswith('acme')], file=sys.stderr)"
    )
    for words in (["--help"], ["plan", "starter"], ["plan", "puyu-api"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
        )
        assert done.stderr.strip() == "[]"


RECIPE = """
flavour = "cpu"
requirements = ["acme-server==3.1"]
uninstall = []
extra_index_url = ""
check = "import acme_server"
command = "acme-server"
distribution = "acme-server"
"""


def test_an_engine_that_is_to_be_built_brings_its_recipe(
    suite: Path, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = site / "acme_nightbench" / "engine.py"
    as_documented = module.read_text()
    module.write_text(
        as_documented.replace(
            "    threads:", '    environment: Literal["auto"] = "auto"\n    threads:'
        )
        .replace("from typing", "from pathlib import Path\nfrom typing")
        .replace("    executable=", '    recipe="acme",\n    recipe_dir=Path(__file__).parent,\n#')
    )
    (site / "acme_nightbench" / "acme.toml").write_text(RECIPE)
    assert main(["plan", "acme"]) == 0
    assert "acme-server==3.1: not built yet (minutes)" in capsys.readouterr().out
    assert main(["engines", "list"]) == 0
    assert "acme  not built: nightbench engines build acme" in capsys.readouterr().out
    main(["doctor"])
    assert re.search(r"^engine acme +not built$", capsys.readouterr().out, re.MULTILINE)


# ---------------------------------------------------------------- what is broken

BROKEN = {
    "it does not import": ("import no_such_module", "ModuleNotFoundError: No module named"),
    "it fails": ("1 / 0", "ZeroDivisionError"),
    "it is no engine": (
        "ENGINE = 'acme'",
        "it is str, expected nightbench.engines.adapter.EngineAdapter",
    ),
    "it lacks the name": ("OTHER = 1", "AttributeError"),
    "it calls itself otherwise": (
        "from nightbench.engines.vllm import ENGINE",
        "its name is vllm",
    ),
}


@pytest.mark.parametrize(("text", "why"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_engine_is_told_with_its_distribution_where_it_is_used(
    suite: Path, site: Path, text: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (site / "acme_nightbench" / "engine.py").write_text(text)
    assert main(["plan", str(suite)]) == 2
    shown = capsys.readouterr().err
    assert "the engine acme of acme-nightbench 1.2 cannot be used" in shown
    assert why in shown
    assert main(["new-suite", "--yes", "--engine", "acme", "--model", "m"]) == 2
    assert "acme-nightbench 1.2" in capsys.readouterr().err


def test_a_broken_package_is_in_nobodys_way_who_does_not_use_it(
    suite: Path, site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("engine", "workload", "benchmark"):
        (site / "acme_nightbench" / f"{module}.py").write_text("1 / 0")
    assert main(["plan", "starter"]) == 0
    assert main(["new-suite", str(tmp_path / "s.yaml"), "--yes"]) == 0
    assert main(["engines", "list"]) == 0
    assert main(["doctor"]) in (0, 1)
    assert "of acme-nightbench 1.2: the engine acme" in capsys.readouterr().out
    offered = TypeAdapter(SuiteName).json_schema()["enum"]
    assert "starter" in offered
    assert "acme" not in offered


def test_a_broken_workload_and_a_broken_benchmark_are_told_where_they_are_used(
    suite: Path, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (site / "acme_nightbench" / "benchmark.py").write_text("1 / 0")
    with pytest.raises(PluginError, match="the benchmark acme_riddles of acme-nightbench"):
        benchmarks.find("acme_riddles")
    (site / "acme_nightbench" / "workload.py").write_text("1 / 0")
    assert main(["plan", str(suite)]) == 2
    shown = capsys.readouterr().err
    assert "load[0].workload.kind: the workload greetings of acme-nightbench 1.2" in shown


def test_a_name_that_two_distributions_declare_is_refused_with_both(site: Path) -> None:
    for name in ("acme-nightbench", "other-nightbench"):
        declare(site, name, {"nightbench.engines": {"acme": "x:ENGINE"}})
    with pytest.raises(PluginError, match=r"by acme-nightbench 1.0 and other-nightbench 1.0"):
        plugins.ENGINES.find("acme")


def test_a_name_of_ours_stays_ours(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(site, "taker", {"nightbench.engines": {"vllm": "x:ENGINE"}})
    monkeypatch.setenv("NIGHTBENCH_HOME", str(tmp_path / "home"))
    assert plugins.ENGINES.find("vllm").title == "vLLM"
    assert plugins.ENGINES.names() == plugins.ENGINES.our_names()
    main(["doctor"])
    assert "of taker 1.0: not used: vllm is a built-in name" in capsys.readouterr().out


def test_a_name_that_nobody_has_is_told_with_those_there_are(suite: Path) -> None:
    with pytest.raises(BadInput) as caught:
        plugins.WORKLOADS.find("greeting")
    assert "Did you mean greetings?" in str(caught.value)


@pytest.mark.parametrize("group", plugins.GROUPS, ids=lambda group: group.noun)
def test_ours_are_called_what_they_call_themselves(group: plugins.Group[object]) -> None:
    for name in group.our_names():
        assert group.name_of(group.find(name)) == name


def test_what_an_engine_names_of_the_serving_layer_is_there() -> None:
    named = {engine.provision for engine in plugins.ENGINES.usable().values()} - {""}
    assert named == {"nightbench.serving.provision.ollama_store:provide"}
    assert all(callable(resolve_name(name)) for name in named)

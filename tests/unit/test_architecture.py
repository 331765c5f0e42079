"""The layers hold: who may import what is read from the imports themselves."""

from __future__ import annotations

import ast
import graphlib
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "src" / "nightbench"
OURS = [
    *sorted(LIBRARY.rglob("*.py")),
    *(ROOT / "tasks").glob("*.py"),
    *(ROOT / "flows").glob("*.py"),
]
LIBRARY_FILES = [path for path in OURS if path.is_relative_to(LIBRARY)]
SIBLINGS = ("engines", "load", "accuracy")
ONLY_IMPORTER = {
    "duckdb": "src/nightbench/history/duckdb_files/database.py",
    "swanlab": "src/nightbench/dashboards/swanlab_mirror.py",
    "datasets": "src/nightbench/data/loading.py",
}
SQL_WORDS = ("SELECT ", "INSERT INTO ", "CREATE TABLE ", "UPDATE ", "DELETE FROM ", "COPY ")


def imports(path: Path) -> Iterator[str]:
    """The dotted names a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def in_part(path: Path, part: str) -> bool:
    return path.is_relative_to(LIBRARY / part)


def reaches(dotted: str, package: str) -> bool:
    return dotted == package or dotted.startswith(f"{package}.")


@pytest.mark.parametrize("path", LIBRARY_FILES, ids=name)
def test_the_library_imports_neither_prefect_nor_what_stands_above_it(path: Path) -> None:
    if in_part(path, "cli"):
        return
    above = ("prefect", "tasks", "flows", "deployments", "nightbench.cli")
    assert [n for n in imports(path) if any(reaches(n, package) for package in above)] == []


def test_the_command_line_itself_never_imports_prefect() -> None:
    for path in LIBRARY_FILES:
        assert not [n for n in imports(path) if reaches(n, "prefect")], name(path)


def test_tasks_import_no_flows_and_nobody_imports_deployments() -> None:
    for path in OURS:
        banned = ("deployments",) if "flows" in path.parts else ("deployments", "flows")
        if not in_part(path, "cli"):
            assert not [n for n in imports(path) if any(reaches(n, b) for b in banned)], name(path)


@pytest.mark.parametrize("part", SIBLINGS)
def test_engines_load_and_accuracy_know_nothing_of_each_other(part: str) -> None:
    others = [f"nightbench.{other}" for other in SIBLINGS if other != part]
    others += ["nightbench.serving", "nightbench.history", "nightbench.dashboards"]
    for path in LIBRARY_FILES:
        if in_part(path, part):
            assert not [n for n in imports(path) if any(reaches(n, o) for o in others)], name(path)


def test_the_suite_looks_engines_up_and_knows_none() -> None:
    for path in LIBRARY_FILES:
        if in_part(path, "suite"):
            known = [n for n in imports(path) if reaches(n, "nightbench.engines")]
            # The type of an API that runs already, for the type checker.
            assert set(known) <= {
                "nightbench.engines.remote",
                "nightbench.engines.remote.RemoteEngine",
            }, name(path)


def test_an_engine_is_told_by_its_kind_nowhere() -> None:
    """`engine.kind == "vllm"` says in one more place what an engine is: it has a field for that."""
    for path in OURS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            compared = [node.left] if isinstance(node, ast.Compare) else []
            compared += [node.subject] if isinstance(node, ast.Match) else []
            told = {ast.unparse(one).rpartition(".kind")[0] for one in compared}
            assert not {one for one in told if one.endswith(("engine", "workload"))}, name(path)


LOAD_LINE = ("plan", "drive", "parse", "summarize")


@pytest.mark.parametrize("part", LOAD_LINE)
def test_load_is_one_straight_line(part: str) -> None:
    later = [f"nightbench.load.{room}" for room in LOAD_LINE[LOAD_LINE.index(part) + 1 :]]
    for path in LIBRARY_FILES:
        if in_part(path, f"load/{part}"):
            assert not [n for n in imports(path) if any(reaches(n, o) for o in later)], name(path)


def module_of(path: Path) -> str:
    inside = path.relative_to(ROOT / "src" if path.is_relative_to(LIBRARY) else ROOT)
    parts = inside.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_files_import_each_other_in_a_circle_not_even_for_their_types() -> None:
    known = {module_of(path): path for path in OURS}
    needs = {module: known.keys() & set(imports(path)) for module, path in known.items()}
    for module, needed in needs.items():  # `from package import file` takes the file alone
        parents = {one.rpartition(".")[0] for one in needed}
        needs[module] = needed - parents
    graphlib.TopologicalSorter(needs).prepare()  # CycleError names the circle


def test_verdicts_take_values_not_connections() -> None:
    for path in LIBRARY_FILES:
        if in_part(path, "verdicts"):
            assert not [n for n in imports(path) if reaches(n, "nightbench.history")], name(path)


def test_history_knows_records_and_sql_and_no_measuring() -> None:
    measuring = [f"nightbench.{part}" for part in (*SIBLINGS, "serving", "dashboards")]
    for path in LIBRARY_FILES:
        if in_part(path, "history"):
            assert not [n for n in imports(path) if any(reaches(n, m) for m in measuring)], name(
                path
            )


FILES = "nightbench.history.duckdb_files"


def test_which_store_a_history_has_is_known_in_one_place() -> None:
    chosen_in = LIBRARY / "history" / "open_store.py"
    for path in OURS:
        if path != chosen_in and not in_part(path, "history/duckdb_files"):
            assert not [n for n in imports(path) if reaches(n, FILES)], name(path)


def test_a_store_knows_nothing_that_stands_above_it() -> None:
    below = [f"nightbench.{part}" for part in ("errors", "home", "progress", "resources")]
    above = ("ingest", "open_store", "reading", "run_results", "private_home", "importers")
    for path in LIBRARY_FILES:
        if in_part(path, "history/duckdb_files"):
            ours = [n for n in imports(path) if reaches(n, "nightbench")]
            strange = [n for n in ours if not any(reaches(n, b) for b in below)]
            strange = [n for n in strange if not reaches(n, "nightbench.history")]
            strange += [
                n for n in ours if any(reaches(n, f"nightbench.history.{a}") for a in above)
            ]
            assert strange == [], name(path)


@pytest.mark.parametrize(("package", "importer"), ONLY_IMPORTER.items())
def test_a_heavy_package_has_one_importer(package: str, importer: str) -> None:
    importers = {name(path) for path in OURS if any(reaches(n, package) for n in imports(path))}
    assert importers == {importer}


def test_sql_lives_in_sql_and_never_in_strings() -> None:
    for path in OURS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value.lstrip()
                shown_to_people = in_part(path, "cli") and "latest" in text
                assert shown_to_people or not text.startswith(SQL_WORDS), f"{name(path)}: {text}"


def test_no_flow_is_named_like_something_it_could_shadow() -> None:
    """Prefect puts a flow's folder first on sys.path."""
    taken = set(sys.stdlib_module_names) | set(packages_distributions())
    taken -= {"flows", "tasks", "nightbench"}
    assert {path.stem for path in (ROOT / "flows").glob("*.py")} & taken <= {"__init__"}


def test_no_child_of_ours_imports_what_lies_in_the_working_directory() -> None:
    """`python -m` does, whoever has put it there; `-P` does not."""
    for path in OURS:
        text = path.read_text(encoding="utf-8")
        assert 'sys.executable, "-m", "nightbench' not in text, name(path)
        assert 'sys.executable, "-m", "prefect' not in text, name(path)


def test_no_two_files_of_tests_have_one_name() -> None:
    """Of two, pytest would import the first and refuse the second, in whole runs only."""
    files = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py"]
    assert [file for file in set(files) if files.count(file) > 1] == []

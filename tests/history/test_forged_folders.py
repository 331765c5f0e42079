"""Folders that somebody forged: none lands, none leads outside, and the healthy ones land."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from nightbench.history.ingest import LandingReport, land
from nightbench.history.places import HistoryPlaces
from nightbench.history.spool.recovery import Damaged, recover
from nightbench.history.spool.writer import Spool, SpoolIdentity
from nightbench.home.paths import Home
from nightbench.records import ProvenanceRow
from tests.benchmarks.synthetic_nights import FIRST_NIGHT, began, rows_of, spool_night
from tests.history import forging, worlds
from tests.history.forging import SEALED
from tests.history.worlds import SHAPE, Rows

NIGHT = FIRST_NIGHT + timedelta(days=4)


@dataclass(frozen=True)
class Attacked:
    """A history with forged folders in its spool, after it was landed; what was said of each."""

    home: Home
    folders: dict[str, Path]
    report: LandingReport
    said: dict[str, str]
    before: Rows
    after: Rows
    untouched: bool


def run_of(number: int) -> str:
    return f"forged-{number:03d}"


def attack(around: Path, forged: Callable[[Home], dict[str, Path]]) -> Attacked:
    """Forge folders in a history of two nights beside a healthy third one, and land."""
    home = Home(around / "home")
    worlds.make_canaries(around)
    for night in range(2):
        spool_night(home.spool, night, SHAPE)
        land(home, now=lambda: worlds.moment(night))  # noqa: B023
    before = worlds.rows(home)
    spool_night(home.spool, 2, SHAPE)
    folders = forged(home)
    canaries = worlds.canaries(around)
    damaged: list[Damaged] = []
    recover(home.spool, now=lambda: worlds.moment(2), on_damaged=damaged.append)
    report = land(home, now=lambda: worlds.moment(2))
    for later in range(3, 6):  # what is swept is swept
        land(home, now=lambda: worlds.moment(later), check_copy=True)  # noqa: B023
    reasons = [(one.folder, one.reason) for one in (*damaged, *report.damaged)]
    said = {
        form: "\n".join(reason for place, reason in reasons if is_of(place, folder))
        for form, folder in folders.items()
    }
    after = worlds.rows(home)
    untouched = worlds.canaries(around) == canaries
    return Attacked(home, folders, report, said, before, after, untouched)


def is_of(place: Path, folder: Path) -> bool:
    return place in (folder, folder.parent) or place.with_suffix("") == folder.with_suffix("")


def sealed_folders(home: Home) -> dict[str, Path]:
    """A sealed folder per form, forged."""
    folders = {}
    for number, (form, (forge, _)) in enumerate(SEALED.items()):
        folder = spooled(home, run_of(number)).seal("completed")
        forge(folder)
        folders[form] = folder
    return folders


def spooled(home: Home, run_id: str) -> Spool:
    identity = SpoolIdentity(run_id=run_id, target="starter", night=NIGHT, hardware_class="cpu x 2")
    spool = Spool.open(home.spool, identity, now=lambda: began(4))
    for row in rows_of(4, "starter", SHAPE):
        spool.append(row)  # type: ignore[arg-type]
    return spool


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Attacked:
    return attack(tmp_path_factory.mktemp("sealed"), sealed_folders)


@pytest.mark.parametrize("form", SEALED)
def test_a_forged_sealed_folder_is_named_and_stays_where_it_is(sealed: Attacked, form: str) -> None:
    run = sealed.folders[form].parent.name
    assert SEALED[form][1] in sealed.said[form]
    assert os.path.lexists(sealed.folders[form])
    assert not any(run in row for rows in sealed.after.values() for row in rows)


def test_beside_forged_folders_the_healthy_night_lands_whole(sealed: Attacked) -> None:
    assert len(sealed.report.landed) == 3
    assert worlds.lost(sealed.before, sealed.after).keys() <= {"fact_files"}  # merged meanwhile
    assert {row.split(",")[0] for row in sealed.after["runs"]} == {
        f"('2026010{n + 1}T000000Z-starter-00000{n}'" for n in range(3)
    }
    assert sealed.untouched


# ------------------------------------------------------------------ open folders of dead writers


def of_identity(**values: object) -> Callable[[Path], object]:
    return lambda folder: forging.rewrite(folder / "identity.json", lambda m: m.update(values))


def instead_of(name: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
    return forging.replaced(name, make)


def beside(name: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: make(folder / name)


def manifest_of_another(folder: Path) -> None:
    """It says that it was sealed, as something else."""
    (folder / "identity.json").unlink()
    other = next(folder.parents[1].glob("2026*/other.sealed"))
    shutil.copy(other / "manifest.json", folder)


def link_the_folder(folder: Path) -> None:
    moved = forging.canary_folder(folder) / "canary" / folder.parent.name
    shutil.move(folder, moved)
    folder.symlink_to(moved)


def link_the_run(folder: Path) -> None:
    moved = forging.canary_folder(folder) / "canary" / folder.parent.name
    shutil.move(folder.parent, moved)
    folder.parent.symlink_to(moved)


# What is wrong with an open folder, and a word of what must be said of it.
OPEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "run id upwards": (of_identity(run_id="../../../canary"), "run_id"),
    "run id of another": (
        of_identity(run_id="20260101T000000Z-starter-000000"),
        "which is not its name",
    ),
    "target upwards": (of_identity(target="../../x"), "target"),
    "target with NUL": (of_identity(target="a\0"), "target"),
    "night upwards": (of_identity(night="../../x"), "night"),
    "night of year 9999": (of_identity(night="9999-12-31"), "night"),
    "a member too many": (of_identity(surprise=1), "surprise"),
    "of a newer nightbench": (of_identity(schema_version=99), "Upgrade"),
    "changed by a fool": (
        lambda f: forging.rewrite(
            f / "identity.json", lambda m: m.update(hardware_class="x"), signed=False
        ),
        "changed after it was written",
    ),
    "identity a link": (instead_of("identity.json", forging.link("canary/manifest.json")), "link"),
    "identity a pipe": (instead_of("identity.json", forging.fifo), "regular"),
    "identity a folder": (instead_of("identity.json", Path.mkdir), "identity.json"),
    "lock a link": (instead_of("lock", forging.link("canary/made-by-a-lock")), "lock"),
    "lock a folder": (instead_of("lock", Path.mkdir), "lock"),
    "sealed as another": (manifest_of_another, "which is not its name"),
    "folder a link": (link_the_folder, "link"),
    "run a link": (link_the_run, "link"),
}

# What is wrong with one file of an open folder: the folder lands, the file is named and stays.
OPEN_FILE: dict[str, Callable[[Path], object]] = {
    "lines a link": instead_of("telemetry.jsonl", forging.link("canary/manifest.json")),
    "lines a pipe": instead_of("telemetry.jsonl", forging.fifo),
    "lines a folder": instead_of("telemetry.jsonl", Path.mkdir),
    "part a link": beside("load_requests.part0009.parquet", forging.link("canary/runs.parquet")),
    "part a pipe": beside("load_requests.part0009.parquet", forging.fifo),
    "part a folder": beside("load_requests.part0009.parquet", Path.mkdir),
    "part no Parquet": beside("telemetry.part0009.parquet", lambda p: p.write_text("I am none")),
}
# Links where sealing writes: what they name must not be written to.
WRITTEN: dict[str, Callable[[Path], object]] = {
    "manifest aside": beside("manifest.json.new", forging.link("canary/manifest.json")),
    "facts aside": beside("targets.parquet.new", forging.link("canary/runs.parquet")),
    "facts": beside("targets.parquet", forging.link("canary/runs.parquet")),
    "rejected rows": beside("rejected.jsonl", forging.link("elsewhere")),
}


def open_folders(home: Home) -> dict[str, Path]:
    forms = {name: forge for name, (forge, _) in OPEN.items()} | OPEN_FILE | WRITTEN
    folders = {}
    for number, (form, forge) in enumerate(forms.items()):
        spool = spooled(home, run_of(number))
        spool.append(ProvenanceRow(name="odd", value=7))  # type: ignore[arg-type]  # is rejected
        spool.abandon()
        folders[form] = spool.folder
        forge(spool.folder)
    return folders


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Attacked:
    return attack(tmp_path_factory.mktemp("open"), open_folders)


@pytest.mark.parametrize("form", OPEN)
def test_a_forged_open_folder_is_named_and_kept(opened: Attacked, form: str) -> None:
    folder = opened.folders[form]
    assert OPEN[form][1] in opened.said[form]
    assert os.path.lexists(folder) or folder.with_suffix(".broken").exists()
    assert not any(folder.parent.name in row for row in opened.after["targets"])


@pytest.mark.parametrize("form", [*OPEN_FILE, *WRITTEN])
def test_a_forged_file_of_an_open_folder_costs_no_other(opened: Attacked, form: str) -> None:
    run = opened.folders[form].parent.name
    assert sum(run in row for row in opened.after["targets"]) == 1
    assert sum(run in row for row in opened.after["load_levels"]) == 1
    found = [finding.detail for finding in opened.report.findings if run in finding.detail]
    assert any("1 rows of provenance were not sealed" in detail for detail in found)
    assert (form in WRITTEN) or any("could not be read whole" in detail for detail in found)


def test_beside_forged_open_folders_nothing_outside_is_touched(opened: Attacked) -> None:
    assert worlds.lost(opened.before, opened.after).keys() <= {"fact_files"}
    assert opened.untouched
    around = opened.home.root.parent
    assert not (around / "canary" / "made-by-a-lock").exists()


# --------------------------------------------------------------------------------- merged nights


def of_merged(change: forging.Change, *, signed: bool = True) -> Callable[[Path], object]:
    return lambda folder: forging.rewrite(folder / "merged.json", change, signed=signed)


def replaces(*names: str) -> Callable[[Path], object]:
    return of_merged(lambda members: members.update(replaces=list(names)))


def unsigned_replaces(*names: str) -> Callable[[Path], object]:
    """As a release of before would have written it, which did not sign."""

    def forge(folder: Path) -> None:
        path = folder / "merged.json"
        members = json.loads(path.read_text())
        members.pop("digest")
        path.write_text(json.dumps(members | {"replaces": list(names)}))

    return forge


MERGED: dict[str, Callable[[Path], object]] = {
    "replaces upwards": replaces("../../../../canary"),
    "replaces upwards, unsigned": unsigned_replaces("../../../../canary"),
    "replaces absolute": unsigned_replaces("/tmp/canary"),
    "replaces the night": unsigned_replaces("."),
    "replaces another night": unsigned_replaces("../night=2026-01-01/+merged-0001"),
    "replaces by a detour": unsigned_replaces("a/../../.."),
    "replaces itself": replaces("+merged-0001"),
    "replaces what it does not hold": replaces("kept-run/kept"),
    "replaces a number": of_merged(lambda members: members.update(replaces=[7])),
    "a file upwards": of_merged(lambda m: m["files"][0].update(path="../../x.parquet")),
    "a file of another table": of_merged(lambda m: m["files"][0].update(path="targets.parquet")),
    "a table nobody knows": of_merged(lambda m: m["files"][0].update(table="passwords")),
    "a schema of the future": of_merged(lambda m: m.update(schema_version=99)),
    "a folder of another night": of_merged(
        lambda m: m["folders"][0]["manifest"]["identity"].update(night="2026-01-01")
    ),
    "a folder twice": of_merged(lambda m: m["folders"].append(m["folders"][0])),
    "changed by a fool": of_merged(lambda m: m.update(schema_version=2), signed=False),
    "merged.json a link": forging.replaced("merged.json", forging.link("canary/merged.json")),
    "merged.json a pipe": forging.replaced("merged.json", forging.fifo),
}


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Attacked:
    """A merged night per form, forged; beside each a folder of somebody else, which is to stay."""
    around = tmp_path_factory.mktemp("merged")
    home = Home(around / "home")
    worlds.make_canaries(around)
    count = len(MERGED)
    for night in range(count + 1):
        spool_night(home.spool, night, SHAPE)
        land(home, now=lambda: worlds.moment(night))  # noqa: B023
    before = worlds.rows(home)
    folders = {}
    for number, (form, forge) in enumerate(MERGED.items()):
        root = HistoryPlaces.of(home).night(FIRST_NIGHT + timedelta(days=number))
        (root / "kept-run" / "kept").mkdir(parents=True)
        (root / "kept-run" / "kept" / "note.txt").write_text("somebody's")
        forge(root / "+merged-0001")
        folders[form] = root
    canaries = worlds.canaries(around)
    said = []
    for later in range(3):
        spool_night(home.spool, count + 1 + later, SHAPE)
        report = land(home, now=lambda: worlds.moment(count + 1 + later))  # noqa: B023
        said += [finding.detail for finding in report.findings]
    said += worlds.rebuild_saying(home)
    after = worlds.rows(home)
    told = {
        form: "\n".join(line for line in said if root.name in line)
        for form, root in folders.items()
    }
    return Attacked(home, folders, report, told, before, after, worlds.canaries(around) == canaries)


# The forger knew how to sign, and what it says leads to nothing: there is nothing to be said.
HARMLESS = ("replaces itself", "replaces what it does not hold")


@pytest.mark.parametrize("form", MERGED)
def test_a_forged_merged_night_removes_nothing_and_is_named(merged: Attacked, form: str) -> None:
    root = merged.folders[form]
    assert (root / "kept-run" / "kept" / "note.txt").read_text() == "somebody's"
    assert (root / "+merged-0001" / "runs.parquet").exists()
    assert bool(merged.said[form]) is (form not in HARMLESS)


def test_beside_forged_merged_nights_no_row_of_another_is_lost_or_doubled(merged: Attacked) -> None:
    assert merged.untouched
    forged = {
        root.name.removeprefix("night=").split("-")[2].lstrip("0")
        for root in merged.folders.values()
    }
    for name, rows in merged.before.items():
        if name in ("fact_files", "schema_migrations"):
            continue
        for row, count in rows.items():
            assert merged.after[name][row] in (count, 0), row
            if merged.after[name][row] == 0:
                assert any(f"datetime.date(2026, 1, {day})" in row for day in forged), row

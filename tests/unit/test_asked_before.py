"""What was asked the run before is asked once more where tonight asks something else."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from nightbench.history.ingest import land
from nightbench.history.reading import open_history
from nightbench.history.spool.writer import Spool, SpoolIdentity
from nightbench.home.paths import Home
from nightbench.load.plan.levels import plan_levels
from nightbench.load.plan.workloads import read_prompts
from nightbench.night.asked_before import AskedBefore, asked_before, is_the_same
from nightbench.night.controls import NoControl
from nightbench.records import LoadLevel, ProvenanceRow
from nightbench.suite.file import suite_of, suite_of_text
from nightbench.suite.models import LoadSpec, Target
from tests.benchmarks.synthetic_nights import Shape, rows_of

RUN = "20260101T020000Z-mine-000001"
BEGAN = datetime(2026, 1, 1, 2, tzinfo=UTC)


def suite_text(*, max_tokens: int = 8, path: str = "prompts.jsonl") -> str:
    load = {
        "name": "chat",
        "workload": {"kind": "openqa", "path": path},
        "max_concurrency": [1, 2],
        "num_prompts": 4,
        "generation": {"max_tokens": max_tokens},
    }
    engine = {"kind": "command", "argv": ["server", "--port={port}"]}
    target = {"name": "a", "engine": engine}
    return yaml.safe_dump({"name": "mine", "targets": [target], "load": [load]})


def levels_of(text: str, folder: Path) -> list[LoadLevel]:
    """Rows as that suite is measured; what they came to does not matter."""
    spec: LoadSpec = suite_of(yaml.safe_load(text), "it").load[0]
    levels = plan_levels(spec)
    prompts = read_prompts(spec.workload, levels[-1].prompts_needed, spec.seed, folder)
    made: Any = next(row for row in rows_of(0, "a", Shape()) if isinstance(row, LoadLevel))
    fields = {name: getattr(made, name) for name in made.__slots__}
    return [
        LoadLevel(
            **fields
            | {
                "workload": "chat",
                "level": level.label,
                "measurement_key": level.measurement_key(prompts),
                "duration_s": 30.0,
                "started_at": BEGAN + timedelta(minutes=number),
            }
        )
        for number, level in enumerate(levels)
    ]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """One run of the suite has landed."""
    prompts = (json.dumps({"question": f"What is {n}?"}) + "\n" for n in range(60))
    (tmp_path / "prompts.jsonl").write_text("".join(prompts))
    home = Home(tmp_path / "home")
    for name in ("a", "_run"):
        identity = SpoolIdentity(run_id=RUN, target=name, night=BEGAN.date())
        with Spool.open(home.spool, identity, now=lambda: BEGAN) as spool:
            if name == "_run":
                spool.append(ProvenanceRow(name="suite_text", value=suite_text()))
                spool.append(ProvenanceRow(name="suite_file", value=str(tmp_path / "mine.yaml")))
                continue
            spool.set_hardware_class("cpu x2")
            for row in levels_of(suite_text(), tmp_path):
                spool.append(row)
    land(home)
    return home


def found(
    home: Home, tonight: list[LoadLevel], hardware: str = "cpu x2", target: Target | None = None
) -> AskedBefore | None:
    file = suite_of_text(home.root.parent / "mine.yaml", suite_text())
    with open_history(home) as history:
        return asked_before(
            history,
            target or file.target("a"),
            hardware,
            tonight,
            run_id="tonight",
            tonight_file=file,
        )


def test_the_same_question_is_not_asked_twice(home: Home, tmp_path: Path) -> None:
    assert found(home, levels_of(suite_text(), tmp_path)) is None
    assert found(home, levels_of(suite_text(max_tokens=9), tmp_path), "gpu x1") is None


def test_what_was_asked_before_is_asked_once_more_by_its_key(home: Home, tmp_path: Path) -> None:
    before = found(home, levels_of(suite_text(max_tokens=9), tmp_path))
    assert before is not None
    assert (before.run_id, before.workload, before.took_s) == (RUN, "chat", 60.0)
    keys = [level.measurement_key(before.prompts) for level in before.levels]
    assert keys == [row.measurement_key for row in levels_of(suite_text(), tmp_path)]


def test_an_api_is_not_asked_faster_than_it_may_be_asked_now(home: Home, tmp_path: Path) -> None:
    engine = {"kind": "remote", "base_url": "http://127.0.0.1:1/v1", "requests_per_second": 2}
    slow = Target.model_validate({"name": "a", "engine": engine})
    with pytest.raises(NoControl, match=f"no longer be asked as fast as {RUN} asked chat"):
        found(home, levels_of(suite_text(max_tokens=9), tmp_path), target=slow)


def test_prompts_that_are_others_now_cannot_be_asked_any_more(home: Home, tmp_path: Path) -> None:
    prompts = (json.dumps({"question": f"How is {n}?"}) + "\n" for n in range(60))
    (tmp_path / "prompts.jsonl").write_text("".join(prompts))
    with pytest.raises(NoControl, match=f"chat cannot be asked any more as {RUN} asked it"):
        found(home, levels_of(suite_text(), tmp_path))


def test_a_level_more_or_less_is_no_other_question() -> None:
    assert is_the_same({"c1": "x", "c2": "y"}, {"c1": "x", "c4": "z"})
    assert not is_the_same({"c1": "x", "c2": "y"}, {"c1": "x", "c2": "z"})
    assert not is_the_same({"c1": "x"}, {"c4": "z"})

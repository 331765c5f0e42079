"""The accepted configuration as it ran is found in the history, or what of it is gone is said."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from nightbench.history.ingest import land
from nightbench.history.reading import open_history
from nightbench.history.spool.writer import Spool, SpoolIdentity
from nightbench.home.paths import Home
from nightbench.night.controls import (
    Control,
    NoControl,
    base_dir_then,
    find_control,
    refuse_what_would_be_fetched,
    suite_then,
    target_then,
    with_model_then,
)
from nightbench.night.run import config_digest
from nightbench.records import ProvenanceRow, TargetRow
from nightbench.suite.file import suite_of, suite_of_text
from nightbench.suite.models import Target
from nightbench.suite.secret_sources import shown_text

RUN = "20260101T020000Z-mine-000001"
BEGAN = datetime(2026, 1, 1, 2, tzinfo=UTC)


def suite_text(*words: str, env: dict[str, str] | None = None) -> str:
    engine = {"kind": "command", "argv": ["server", "--port={port}", *words], "env": env or {}}
    other = {"name": "other", "engine": {"kind": "command", "argv": ["x", "{port}"]}}
    return yaml.safe_dump({"name": "mine", "targets": [other, {"name": "a", "engine": engine}]})


def vllm_text(model: str, **args: Any) -> str:
    target = {"name": "a", "model": model, "engine": {"kind": "vllm", "args": args}}
    return yaml.safe_dump({"name": "mine", "targets": [target]})


def target_of(text: str) -> Target:
    return next(t for t in suite_of(yaml.safe_load(text), "it").targets if t.name == "a")


def landed(home: Home, text: str, **facts: str) -> Home:
    """A history with one run of that suite."""
    target = target_of(text)
    for name in ("a", "_run"):
        identity = SpoolIdentity(run_id=RUN, target=name, night=BEGAN.date())
        with Spool.open(home.spool, identity, now=lambda: BEGAN) as spool:
            if name == "_run":
                spool.append(ProvenanceRow(name="suite_text", value=shown_text(text)))
                spool.append(ProvenanceRow(name="suite_file", value="/suites/mine.yaml"))
                continue
            for fact, value in facts.items():
                spool.append(ProvenanceRow(name=fact, value=value))
            spool.append(
                TargetRow(
                    model="",
                    served_model_name="",
                    engine_kind=target.engine.kind,
                    engine_version=facts.get("engine_version"),
                    config_digest=config_digest(target),
                    status="completed",
                    started_at=BEGAN,
                )
            )
    land(home)
    return home


def found(home: Home, tonight: str, **facts: str) -> Control:
    target = target_of(tonight)
    now = {"engine_kind": target.engine.kind, "config_digest": config_digest(target), **facts}
    with open_history(home) as history:
        return find_control(
            history,
            home,
            RUN,
            tonight=target,
            tonight_file=suite_of_text(Path("/here/tonight.yaml"), tonight),
            tonight_facts=now,
            has_gpu=False,
        )


def test_another_argument_of_tonight_is_held_against_the_one_that_was_accepted(
    tmp_path: Path,
) -> None:
    home = landed(Home(tmp_path), suite_text("--fast"))
    control = found(home, suite_text("--slow"))
    assert control.target.engine.argv[-1] == "--fast"  # type: ignore[attr-defined]
    assert (control.base_dir, control.built) == (Path("/suites"), None)


def test_what_no_boot_puts_back_is_not_booted_for(tmp_path: Path) -> None:
    home = landed(Home(tmp_path), suite_text(), driver_version="550")
    with pytest.raises(NoControl, match="cannot be put back: driver 550 → 570"):
        found(home, suite_text(), driver_version="570")


def test_a_secret_is_tonights_and_one_that_was_changed_is_told_by_the_digest(
    tmp_path: Path,
) -> None:
    home = landed(Home(tmp_path), suite_text("--fast", env={"DB_PASSWORD": "open-sesame"}))
    with open_history(home) as history:
        assert "open-sesame" not in json.dumps(history.sql("FROM provenance").rows, default=str)
    control = found(home, suite_text("--slow", env={"DB_PASSWORD": "open-sesame"}))
    assert control.target.engine.env == {"DB_PASSWORD": "open-sesame"}  # type: ignore[attr-defined]
    with pytest.raises(NoControl, match="a secret of it has changed"):
        found(home, suite_text("--slow", env={"DB_PASSWORD": "open-barley"}))


def test_an_engine_environment_that_is_gone_is_said_and_not_built(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    text, key = vllm_text(str(tmp_path / "model")), "vllm-cpu-0123456789ab"
    home = landed(Home(tmp_path / "home"), text, engine_environment=key, engine_version="0.32.0")
    with pytest.raises(NoControl, match=f"the engine environment that was accepted is gone: {key}"):
        found(home, text, engine_environment="vllm-cpu-other", engine_version="0.33.0")


def test_an_engine_environment_that_is_here_is_taken_whatever_the_recipe_says_now(
    tmp_path: Path,
) -> None:
    (tmp_path / "model").mkdir()
    text, key = vllm_text(str(tmp_path / "model")), "vllm-cpu-0123456789ab"
    home = landed(Home(tmp_path / "home"), text, engine_environment=key, engine_version="0.32.0")
    root = home.engines / key
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "vllm").touch()
    ready = {"root": str(root.resolve()), "flavour": "cpu", "command": "vllm"}
    ready |= {"version": "0.32.0", "torch_version": None}
    (root / "ready.json").write_text(json.dumps(ready))
    control = found(home, text, engine_environment="vllm-cpu-other", engine_version="0.33.0")
    assert control.built is not None
    assert (control.built.key, control.built.version) == (key, "0.32.0")


def test_weights_are_those_of_then_and_never_fetched(tmp_path: Path) -> None:
    target = target_of(vllm_text("hf:org/name@main"))
    with pytest.raises(NoControl, match="are gone: hf:org/name@4f5e"):
        with_model_then(target, {"model_revision": "4f5e"}, Home(tmp_path), tmp_path)
    here = target_of(vllm_text(str(tmp_path)))
    assert with_model_then(here, {}, Home(tmp_path), tmp_path) == here
    with pytest.raises(NoControl, match="the weights that were accepted are gone"):
        with_model_then(target_of(vllm_text("gone")), {}, Home(tmp_path), tmp_path)


def test_what_was_booted_and_is_another_is_no_control(tmp_path: Path) -> None:
    control = Control(
        run_id=RUN,
        target=target_of(suite_text()),
        base_dir=tmp_path,
        facts={"weights": "w1", "driver_version": "550"},
    )
    control.refuse_another({"weights": "w1", "driver_version": "570"})
    with pytest.raises(NoControl, match=f"no longer here as it was: weights differ from {RUN}"):
        control.refuse_another({"weights": "w2"})


def test_a_suite_of_then_that_nothing_reads_any_more_is_said() -> None:
    with pytest.raises(NoControl, match="cannot be read"):
        target_then("targets: [{name: a, engine: {kind: gone}}]", "", "a")
    with pytest.raises(NoControl, match="no target b"):
        target_then(suite_text(), "", "b")


def test_the_suite_of_then_starts_where_tonights_of_its_name_lies() -> None:
    tonight = suite_of_text(Path("/here/mine.yaml"), suite_text())
    assert base_dir_then({"suite_file": "/another-node/mine.yaml"}, tonight) == Path("/here")
    assert base_dir_then({"suite_file": "/suites/other.yaml"}, tonight) == Path("/suites")


def test_an_engine_that_fetches_its_models_is_not_booted_with_another_one() -> None:
    def ollama(model: str) -> Target:
        target = {"name": "a", "model": model, "engine": {"kind": "ollama"}}
        return target_of(yaml.safe_dump({"name": "mine", "targets": [target]}))

    refuse_what_would_be_fetched(ollama("llama3:8b"), ollama("llama3:8b"))
    with pytest.raises(NoControl, match="may have to fetch llama3:70b"):
        refuse_what_would_be_fetched(ollama("llama3:70b"), ollama("llama3:8b"))


def test_one_entrys_secret_is_never_filled_in_for_another_without_a_name() -> None:
    def text(first: str, second: str) -> str:
        entries = [
            {"benchmark": name, "generation": {"extra_body": {"api_key": key}}}
            for name, key in (("starter", first), ("iquiz", second))
        ]
        return yaml.safe_dump({**yaml.safe_load(suite_text()), "accuracy": entries})

    kept = suite_then(shown_text(text("sk-one", "sk-two")), text("sk-one", "sk-two"))
    assert "sk-two" not in str(kept.accuracy[0])

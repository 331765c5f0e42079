"""Every kind of engine is started, or not, by the same questions."""

from __future__ import annotations

import pytest

from nightbench.engines import remote, target_engine
from nightbench.engines.adapter import Launch
from nightbench.engines.remote import RemoteEngine
from nightbench.errors import BadInput
from nightbench.suite.models import Target


def target(engine: dict[str, object], **fields: object) -> Target:
    return Target.model_validate({"name": "t", "engine": engine, **fields})


COMMAND = target(
    {"kind": "command", "argv": ["srv", "--json", '{"a": {port}}', "--model={model}"]}, model="/m"
)


def plan(what: Target) -> Launch:
    return target_engine.plan_launch(
        what, model_path="/m", host="127.0.0.1", port=81, api_key="k3y", flavour="cpu", cores=(0, 1)
    )


def test_a_command_gets_its_places_filled_and_keeps_its_other_braces() -> None:
    assert plan(COMMAND).argv == ("srv", "--json", '{"a": 81}', "--model=/m")


def test_the_key_is_in_the_environment_and_never_in_argv() -> None:
    for what in (COMMAND, target({"kind": "vllm"}, model="/m")):
        launch = plan(what)
        assert "k3y" in launch.env.values()
        assert not any("k3y" in part for part in launch.argv)
        assert "k3y" not in repr(launch)


def test_nothing_is_started_for_a_remote_target() -> None:
    what = target({"kind": "remote", "base_url": "http://h:1"})
    assert target_engine.display_command(what) == ""
    assert target_engine.num_gpus(what) == 0
    with pytest.raises(BadInput):
        plan(what)


def test_a_remote_key_that_is_not_set_is_refused_by_name() -> None:
    engine = RemoteEngine(kind="remote", base_url="http://h:1", api_key_env="NO_SUCH_KEY")
    with pytest.raises(BadInput, match="NO_SUCH_KEY"):
        remote.endpoint(engine, "m", {})
    assert remote.endpoint(engine, "m", {"NO_SUCH_KEY": "k"}).base_url == "http://h:1/v1"

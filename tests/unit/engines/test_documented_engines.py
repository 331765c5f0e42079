"""docs/engines.md: every example is a target, and every service is at the address that is said."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from nightbench.engines import target_engine
from nightbench.engines.providers import PROVIDERS
from nightbench.plugins import ENGINES
from nightbench.suite.models import Suite

DOC = (Path(__file__).parents[3] / "docs" / "engines.md").read_text(encoding="utf-8")


def test_every_example_is_a_target_and_every_kind_has_one() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", DOC, re.DOTALL)
    targets = [target for block in blocks for target in yaml.safe_load(block)]
    suite = Suite.model_validate({"name": "documented", "targets": targets})
    assert {target.engine.kind for target in suite.targets} == set(ENGINES.our_names())
    for target in suite.targets:
        assert bool(target_engine.display_command(target)) is not target.is_attached


def test_every_service_is_where_the_page_says() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(https:\S+)` \| `(\w+)` \|$", DOC, re.MULTILINE)
    assert {name: (url, key) for name, url, key in rows} == {
        name: (known.base_url, known.api_key_env) for name, known in PROVIDERS.items()
    }

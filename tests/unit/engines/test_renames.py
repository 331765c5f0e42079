"""What tutorials say and an engine of today does not have: known by version, without the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightbench.engines import renames
from nightbench.engines.renames import problems
from nightbench.plugins import ENGINES

RENAMED = [entry for kind in ENGINES.our_names() for entry in ENGINES.find(kind).renamed]
DOC = Path(__file__).parents[3] / "docs" / "coming-from.md"


def said(engine: str, version: str, **args: object) -> str:
    named = {key.replace("_", "-"): value for key, value in args.items()}
    known = ENGINES.find(engine)
    return "\n".join(problems(known.renamed, named, title=known.title, version=version))


@pytest.mark.parametrize(
    ("engine", "version", "args", "right"),
    [
        ("vllm", "0.33.0", {"tool_call_parser": "glm4_moe"}, "write glm45"),
        ("vllm", "0.33.0", {"reasoning_parser": "glm4_moe"}, "write glm45"),
        ("vllm", "0.10.0", {"reasoning_parser": "glm45"}, "write glm4_moe"),
        ("vllm", "0.32.0", {"enable_reasoning": True}, "write reasoning-parser alone"),
        ("vllm", "0.32.0+cpu", {"disable_log_requests": True}, "enable-log-requests: false"),
        ("sglang", "0.5.23", {"max_model_len": 8192}, "write context-length"),
        ("sglang", "0.5.23", {"enable_ep_moe": True}, "write ep-size"),
        ("lmdeploy", "0.18.0", {"max_model_len": 8192}, "write session-len"),
        ("lmdeploy", "0.18.0", {"tool_call_parser": "glm45"}, "write glm47"),
    ],
)
def test_what_is_gone_is_named_with_what_to_write(
    engine: str, version: str, args: dict[str, object], right: str
) -> None:
    assert right in said(engine, version, **args)


def test_a_version_that_still_has_it_is_left_alone() -> None:
    assert said("vllm", "0.10.0", tool_call_parser="glm4_moe") == ""
    assert said("vllm", "0.9.2", enable_reasoning=True) == ""
    assert said("vllm", "0.33.0", tool_call_parser="glm45", reasoning_parser="glm45") == ""


def test_an_option_is_known_however_it_is_written() -> None:
    for key in ("enable_reasoning", "enable-reasoning", "--enable-reasoning"):
        assert said("vllm", "0.33.0", **{key: True})


def test_every_entry_says_until_when_and_where_that_is_from() -> None:
    for entry in RENAMED:
        assert bool(entry.since) != bool(entry.until), entry
        assert entry.instead
        assert entry.source
        assert entry.option == entry.option.strip("-").replace("_", "-")


def test_what_tutorials_type_is_named_in_the_document() -> None:
    text = DOC.read_text(encoding="utf-8")
    for entry in RENAMED:
        if "name)" not in entry.instead:
            assert f"`{entry.value or entry.option}`" in text, f"docs/coming-from.md: {entry}"


@pytest.mark.parametrize(
    ("text", "version"), [("0.32.0+cpu", (0, 32, 0)), ("0.5.23", (0, 5, 23)), ("1.0rc1", (1, 0))]
)
def test_a_version_is_its_release(text: str, version: tuple[int, ...]) -> None:
    assert renames.parse_version(text) == version

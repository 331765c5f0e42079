"""Secrets are hidden by name and by value, and ordinary settings are not."""

from __future__ import annotations

from nightbench.serving import redaction

ENV = {
    "VLLM_API_KEY": "canary-key-1234",
    "HF_TOKEN": "canary-token-5678",
    "HF_ENDPOINT": "https://me:canary-pass@hub.example",
    "TOKENIZERS_PARALLELISM": "false",
    "VLLM_CPU_KVCACHE_SPACE": "2",
    "HOME": "/home/me",
}


def test_what_is_stored_holds_no_secret_and_nothing_that_does_not_matter() -> None:
    stored = redaction.public_env(ENV, chosen=["VLLM_API_KEY"])
    assert "canary" not in str(stored)
    assert stored["TOKENIZERS_PARALLELISM"] == "false"
    assert stored["HF_ENDPOINT"] == "https://***@hub.example"
    assert "HOME" not in stored


def test_secret_values_are_found_by_name_longest_first() -> None:
    assert redaction.secrets_of(ENV) == ["canary-token-5678", "canary-key-1234"]


def test_a_text_loses_every_secret() -> None:
    assert redaction.redact("key=canary-key-1234!", ["canary-key-1234"]) == "key=***!"


def test_an_engine_does_not_inherit_our_own_keys() -> None:
    ours = {"PREFECT_API_KEY": "a", "SWANLAB_API_KEY": "b", "PYTHONPATH": "c", "HF_HOME": "d"}
    assert redaction.inherited_env(ours) == {"HF_HOME": "d"}

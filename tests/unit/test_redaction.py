"""Secrets are hidden by name and by value, in each spelling that servers echo; other text stays."""

from __future__ import annotations

import base64
import html
import json
import string
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightbench.secrets.redaction import Redactor
from nightbench.secrets.values import (
    REDACTED,
    has_userinfo,
    is_secret,
    secrets_of,
    secrets_of_headers,
    shown_name,
    without_userinfo,
)

KEY = "sk-Canary9fQ2xZ7mLp4vT8wRb6/+ ü'\"n"
PLAIN = "sk-Canary9fQ2xZ7mLp4vT8wRb6nK3"
PROSE = (
    "The quick brown fox benchmarks meta-llama/Llama-3.1-8B-Instruct on 2026-11-29T02:00:00Z, "
    "and the ring bearer says that sk-keys are not shown; nightbench-target-7 took 35.25 s. "
)


SECRET_NAMES = (
    "OPENAI_API_KEY HF_TOKEN PGPASSWORD PREFECT_API_AUTH_STRING AWS_SECRET_ACCESS_KEY DB_PASS "
    "GITHUB_PAT SENTRY_DSN SLACK_WEBHOOK authorization X-Api-Key Cookie MYSQL_PWD api_tokens "
    "SLURM_JWT VOLC_SK AZURE_STORAGE_CONNECTION_STRING"
)
HARMLESS_NAMES = (
    "PATH PWD OLDPWD TOKENIZERS_PARALLELISM NIGHTBENCH_TOKENIZER VLLM_MAX_TOKENS SSH_AUTH_SOCK "
    "XAUTHORITY GIT_AUTHOR_NAME KEYBOARD PYTHON_KEYRING_BACKEND PGPASSFILE SSL_KEY_FILE "
    "MAX_NUM_BATCHED_TOKENS PREFECT_SERVER_API_CSRF_TOKEN_EXPIRATION MAX_CACHE_KEY_LENGTH SK_X "
    "Content-Type X-Request-Id"
)


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_a_name_says_that_its_value_is_a_secret(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", HARMLESS_NAMES.split())
def test_a_name_says_that_its_value_is_none(name: str) -> None:
    assert not is_secret(name)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "after Bearer": lambda key: f"Authorization: Bearer {key}",
    "in JSON": json.dumps,
    "in JSON that is not ASCII": lambda key: json.dumps(key, ensure_ascii=False),
    "in JSON within JSON": lambda key: json.dumps(json.dumps({"key": key})),
    "with slashes escaped": lambda key: json.dumps(key).replace("/", "\\/"),
    "in an address": lambda key: f"/v1?key={urllib.parse.quote(key)}",
    "in an address, slashes too": lambda key: urllib.parse.quote(key, safe=""),
    "in a form": urllib.parse.quote_plus,
    "in HTML": html.escape,
    "as Python shows it": repr,
    "in base64": lambda key: base64.b64encode(key.encode()).decode(),
    "in base64 after a user": lambda key: base64.b64encode(f"me:{key}".encode()).decode(),
    "in base64 after another": lambda key: base64.b64encode(f"admin:{key}!".encode()).decode(),
    "in base64 of addresses": lambda key: base64.urlsafe_b64encode(f"u:{key}".encode()).decode(),
    "in hex": lambda key: key.encode().hex(),
    "in capital hex": lambda key: key.encode().hex().upper(),
    "with every letter escaped": lambda key: "".join(f"\\u{ord(c):04x}" for c in key),
    "as Python escapes it": lambda key: "".join(f"\\x{ord(c):02x}" for c in key),
    "with every letter of it quoted": lambda key: "".join(f"%{b:02X}" for b in key.encode()),
    "in quoted small letters": lambda key: "".join(f"%{b:02x}" for b in key.encode()),
    "in entities": lambda key: "".join(f"&#{ord(c)};" for c in key),
    "in hex entities": lambda key: "".join(f"&#x{ord(c):x};" for c in key),
    "in long entities": lambda key: "".join(f"&#x{ord(c):04X};" for c in key),
    "in small letters": str.lower,
    "in capitals": str.upper,
    "without its first letters": lambda key: key[3:],
    "its first half": lambda key: key[: len(key) // 2],
    "its last half": lambda key: key[len(key) // 2 :],
    "masked in the middle": lambda key: f"{key[:14]}****{key[-4:]}",
    "cut over two lines": lambda key: f"{key[:15]}\n{key[15:]}",
}


@pytest.mark.parametrize("key", [KEY, PLAIN])
@pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_a_key_is_found_in_every_spelling_that_servers_echo(
    spelled: Callable[[str], str], key: str
) -> None:
    told = Redactor([key])(f"401: {spelled(key)} is wrong")
    assert told.startswith("401: ")
    assert told.endswith(" is wrong")
    assert REDACTED in told
    assert all(key[at : at + 12] not in told for at in range(len(key) - 11))
    assert spelled(key) not in told


@given(
    st.text(string.ascii_letters + string.digits + "-_", min_size=24, max_size=80),
    st.text(max_size=60),
    st.text(max_size=60),
)
def test_no_part_of_a_key_that_tells_of_it_is_left(key: str, before: str, after: str) -> None:
    told = Redactor([key])(f"{before}{key}{after}")
    assert key not in told


def test_ordinary_text_stays_as_it_is() -> None:
    redact = Redactor([PLAIN, "hunter2", "correct horse battery staple", "/home/me/keys.json"])
    text = PROSE + "Bearer of news in /home/me/results, hunter2 by name; a correct horse."
    assert redact(text) == text


def test_words_that_a_secret_shares_with_other_text_are_not_hidden() -> None:
    """`benchmark-target` is a name of ours, whatever somebody's password is."""
    redact = Redactor(["benchmark-target-password"])
    assert redact("benchmark-target failed") == "benchmark-target failed"
    assert redact("benchmark-target-password") == REDACTED
    assert redact("it ends in target-password") == "it ends in target-password"
    assert redact("benchmark-target-passwo") == REDACTED


def test_a_secret_that_is_a_path_or_an_address_counts_whole() -> None:
    redact = Redactor(["/home/me42/keys/node7.json", "https://vault7.example/v1/keys42"])
    assert redact("/home/me42/keys/other.json") == "/home/me42/keys/other.json"
    assert redact("at /home/me42/keys/node7.json") == f"at {REDACTED}"
    assert redact("https://vault7.example/v1/keys42") == REDACTED


@pytest.mark.parametrize("secret", ["abc123", "postgres", "DISABLED"])
def test_a_short_secret_or_a_word_is_hidden_only_where_it_is_sent(secret: str) -> None:
    redact = Redactor([secret])
    assert redact(f"got 'Bearer {secret}'") == f"got '{REDACTED}'"
    assert redact(f"http://me:{secret}@h/v1") == f"http://me{REDACTED}h/v1"
    assert redact(f"{secret} is a name") == f"{secret} is a name"


def test_many_secrets_in_a_long_text_are_all_found() -> None:
    keys = [f"key-{number}-{'9aZ' * 8}{number}" for number in range(30)]
    told = Redactor(keys)("".join(f"{PROSE}{key} " for key in keys))
    assert not [key for key in keys if key[3:15] in told]
    assert told.count(REDACTED) == 30
    assert told.replace(REDACTED, "") == (PROSE + " ") * 30


def test_what_an_environment_keeps_secret_is_known_by_name_and_by_address() -> None:
    environ = {
        "LLM_LOGIN": "not by this name",
        "HF_TOKEN": "hf_canary5678",
        "PREFECT_API_AUTH_STRING": "admin:canary-pass-1",
        "GATEWAY_AUTH": "Basic " + base64.b64encode(b"me:canary-pass-2").decode(),
        "HTTPS_PROXY": "http://me:canary-pass-3@proxy.example:3128",
        "PIP_INDEX_URL": "https://glpat4canary@pip.example/simple",
        "DATABASE": "postgresql://me:p%40ss-canary-5@db/x",
        "VAULT_TOKEN_URL": "https://node7.vault.example/v1/x7canary9x",
        "NIGHTBENCH_ALERT_URL": "https://hooks.example.com/services/T0CANARY6/B0/x7canary7x "
        "mailtos://me:canary-pass-8@smtp.example.org?to=team@example.org",
        "HOME": "/home/me",
    }
    found = secrets_of(environ)
    assert {
        "hf_canary5678",
        "admin:canary-pass-1",
        "canary-pass-1",
        "canary-pass-2",
        "canary-pass-3",
        "glpat4canary",
        "p%40ss-canary-5",
        "p@ss-canary-5",
        "T0CANARY6",
        "x7canary7x",
        "canary-pass-8",
        "x7canary9x",
    } <= found
    assert not found & {
        "",
        "me",
        "node7.vault.example",
        "/home/me",
        "not by this name",
        "team@example.org",
    }


def test_a_key_within_a_value_is_known_where_its_name_stands_before_it() -> None:
    environ = {
        "HF_ENDPOINT": "https://hub.example/api?user=me7&token=canary-7q-1%2F&limit=20",
        "OPENAI_CUSTOM_HEADERS": "X-Tenant: acme42\nX-Api-Key: canary-7q-2",
        "PREFECT_CLIENT_CUSTOM_HEADERS": '{"Authorization": "Bearer canary-7q-3"}',
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=canary-7q-4,tenant=acme42",
        "STORAGE": "DefaultEndpointsProtocol=https;AccountName=me42;AccountKey=canary7q5==",
        "ARGUMENTS": "--api-key-env=MY_KEY_42 --tokenizer=meta/Llama-3.1 --max-tokens=12345678",
    }
    assert secrets_of(environ) == {
        *("canary-7q-1%2F", "canary-7q-1/", "canary-7q-2", "canary-7q-3", "canary-7q-4"),
        "canary7q5==",
    }


def test_headers_that_carry_a_secret_are_known_and_others_are_not() -> None:
    found = secrets_of_headers(
        [
            ("authorization", "Bearer canary-1"),
            ("X-Api-Key", "canary-2"),
            ("Cookie", "session=canary-3; theme=dark"),
            ("X-Tenant", "acme"),
        ]
    )
    assert {"canary-1", "canary-2", "canary-3"} <= found
    assert "acme" not in found


def test_more_secrets_make_another_redactor() -> None:
    one = Redactor([PLAIN])
    two = one.knowing("another-secret-1", PLAIN)
    assert one("another-secret-1") == "another-secret-1"
    assert two(f"another-secret-1 {PLAIN}") == f"{REDACTED} {REDACTED}"
    assert two.knowing(PLAIN, "") is two
    assert PLAIN not in repr(two)


def test_bytes_that_are_no_text_in_an_environment_are_no_trouble() -> None:
    assert Redactor(["canary-\udcff-12345"])("a canary-\udcff-12345") == f"a {REDACTED}"


def test_addresses_lose_user_and_password() -> None:
    assert without_userinfo("http://me:pw@h/v1, http://tok@h") == "http://***@h/v1, http://***@h"
    assert has_userinfo("https://me@h/v1")
    assert not has_userinfo("https://h/v1?to=me@example.org")


def test_a_key_that_stands_where_a_name_should_is_not_shown() -> None:
    assert shown_name("OPENAI_API_KEY") == "OPENAI_API_KEY"
    assert shown_name("hf_9aZ8bY7cX6dW5eV4fU3gT2hS1") == "a variable"

"""What is a secret, and how it is kept out of rows, logs and messages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

REDACTED = "***"
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|AUTH", re.IGNORECASE)
# Names the pattern catches that hold no secret.
_HARMLESS = re.compile(r"TOKENIZERS_PARALLELISM|MAX_TOKENS|SSH_AUTH_SOCK|KEYRING")
_IN_URL = re.compile(r"(?<=://)[^/@\s]+(?=@)")

# Of the inherited environment, what can change a measurement and is therefore kept with it.
_RELEVANT = re.compile(
    r"^(VLLM|CUDA|NVIDIA|NCCL|TORCH|PYTORCH|TRITON|OMP|KMP|MKL|GOMP|HF|TRANSFORMERS|TOKENIZERS"
    r"|GLOO|UCX|LD_LIBRARY_PATH|LD_PRELOAD|MALLOC|OPENBLAS|RAY)"
)
# Of the inherited environment, what is nightbench's own business and not an engine's.
_NOT_FOR_ENGINES = re.compile(
    r"^(PREFECT_|SWANLAB_|NIGHTBENCH_|PYTHON|VIRTUAL_ENV$|VLLM_API_KEY$|OPENAI_)"
)


def is_secret(name: str) -> bool:
    """Whether a variable of that name holds something to be hidden."""
    return bool(_SECRET_NAME.search(name)) and not _HARMLESS.search(name)


def secrets_of(env: Mapping[str, str]) -> list[str]:
    """The values to be hidden wherever they turn up; too short ones would hide ordinary text."""
    return sorted(
        {value for name, value in env.items() if is_secret(name) and len(value) >= 8},
        key=len,
        reverse=True,
    )


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets."""
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    return text


def inherited_env(environ: Mapping[str, str]) -> dict[str, str]:
    """What an engine gets of nightbench's own environment: not our keys, not our Python."""
    return {name: value for name, value in environ.items() if not _NOT_FOR_ENGINES.match(name)}


def public_env(env: Mapping[str, str], chosen: Iterable[str]) -> dict[str, str]:
    """What of an engine's environment is stored: what was `chosen` for it and what can matter to a
    measurement, with secrets and passwords in URLs hidden."""
    names = set(chosen)
    kept = {k: v for k, v in sorted(env.items()) if k in names or _RELEVANT.match(k)}
    return {k: REDACTED if is_secret(k) else _IN_URL.sub(REDACTED, v) for k, v in kept.items()}

"""What changed between two nights of a target, as people would say it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping

_ENGINES = {"vllm": "vLLM", "sglang": "SGLang", "lmdeploy": "LMDeploy", "ollama": "Ollama"}
# In the order in which they explain a difference, and what they are called.
_SAID = {
    "driver_version": "driver",
    "cuda_version": "CUDA",
    "torch_version": "torch",
    "gpu_names": "GPUs",
    "gpu_power_limits_w": "power limits",
    "gpu_max_sm_clocks_mhz": "clocks",
    "kernel": "kernel",
    "cpu_model": "CPU",
    "cpu_count": "cores of the machine",
    "python_version": "Python",
    "model_revision": "model revision",
}
_LONGEST = 24
# What a boot of an older configuration brings back; a driver, a kernel or a machine it does not.
_PUT_BACK = (
    "engine_kind",
    "engine_version",
    "config_digest",
    "engine_environment",
    "engine_image_digest",
    "torch_version",
    "model_revision",
    "weights",
)


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """`vLLM 0.32.0 → 0.33.0, driver 550 → 570`; "" where nothing that is known has changed."""
    said = [_engine(before, after)]
    said += [
        f"{what} {_short(before[name])} → {_short(after[name])}"
        for name, what in _SAID.items()
        if name in before and name in after and before[name] != after[name]
    ]
    if _differ(before, after, "engine_image_digest", "engine_environment") and not said[0]:
        said.append("the engine's environment")
    if any(_differ(before, after, name) for name in (*before, *after) if _is_model(name)):
        said.append("the model's files")
    if _differ(before, after, "config_digest"):
        said.append("the engine's configuration in the suite")
    return ", ".join(filter(None, said))


def what_can_be_put_back(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The names of facts that differ and that a boot of what ran before brings back."""
    names = dict.fromkeys([*_PUT_BACK, *filter(_is_model, (*before, *after))])
    return [name for name in names if before.get(name) != after.get(name)]


def provenance_digest(
    facts: Mapping[str, str],
    names: Collection[str],
    *,
    engine_kind: str,
    engine_version: str | None,
    config_digest: str,
) -> str:
    """What sql/queries/judged_targets.sql makes of a target that has landed, for one that has not:
    `names` are the facts that may change a number, besides digests of the model's files."""
    counted = sorted(
        f"{name}={value}"
        for name, value in facts.items()
        if name in names or name.startswith("digest_")
    )
    facts_digest = _md5("\n".join(counted)) if counted else None
    parts = (engine_kind, engine_version, config_digest, facts_digest)
    return _md5("|".join(part for part in parts if part is not None))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _engine(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    old, new = before.get("engine_version"), after.get("engine_version")
    kind = after.get("engine_kind", "")
    name = _ENGINES.get(kind, kind)
    if before.get("engine_kind", kind) != kind:
        return f"{_ENGINES.get(before['engine_kind'], before['engine_kind'])} → {name}"
    return f"{name} {old} → {new}" if old and new and old != new else ""


def _is_model(name: str) -> bool:
    return name == "weights" or name.startswith("digest_")


def _differ(before: Mapping[str, str], after: Mapping[str, str], *names: str) -> bool:
    return any(name in before and name in after and before[name] != after[name] for name in names)


def _short(value: str) -> str:
    return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"

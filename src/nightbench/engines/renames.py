"""Options and parser names that tutorials use and an engine of today does not have, by version.

Known without the engine, so that a plan can say what is wrong on any machine. What an engine really
takes, it says itself (`nightbench.serving.provision.preflight`): this table does not list what
there is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from nightbench.suite.engines import Args

Version = tuple[int, ...]
EngineName = Literal["vllm", "sglang", "lmdeploy"]
TITLES: dict[str, str] = {"vllm": "vLLM", "sglang": "SGLang", "lmdeploy": "LMDeploy"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    """An option (or, with `value`, one value of it) that is not there from version `since` on, or
    not before version `until`; `instead` is what to write.

    `since` is the first version that is known to be without it: from its release notes, or from its
    own parser (`source`), and so may be later than the change itself.
    """

    engine: EngineName
    option: str
    value: str | None = None
    since: str = ""
    until: str = ""
    instead: str
    source: str

    def applies_to(self, version: Version) -> bool:
        """Whether an engine of this version is without it."""
        if self.since and version >= parse_version(self.since):
            return True
        return bool(self.until) and version < parse_version(self.until)

    def said(self) -> str:
        """`is gone since 0.10.0: write …`."""
        when = f"is gone since {self.since}" if self.since else f"is not there before {self.until}"
        return f"{when}: write {self.instead}"


_NOTES = "https://github.com/vllm-project/vllm/pull/"
_VLLM = "the parser of vLLM 0.32.0"
_SGLANG = "the parser of SGLang 0.5.23"
_LMDEPLOY = "the parser of LMDeploy 0.18.0"
_GLM = "https://github.com/vllm-project/recipes/pull/27"


def _gone(
    engine: EngineName, since: str, source: str, instead: dict[str, str]
) -> tuple[Renamed, ...]:
    return tuple(
        Renamed(engine=engine, option=option, since=since, instead=other, source=source)
        for option, other in instead.items()
    )


def _value(option: str, value: str, instead: str, **when: str) -> Renamed:
    return Renamed(engine="vllm", option=option, value=value, instead=instead, source=_GLM, **when)


RENAMED: tuple[Renamed, ...] = (
    *(
        _value(option, "glm4_moe", "glm45", since="0.10.1")
        for option in ("tool-call-parser", "reasoning-parser")
    ),
    *(
        _value(option, "glm45", "glm4_moe (or name a later vLLM)", until="0.10.1")
        for option in ("tool-call-parser", "reasoning-parser")
    ),
    Renamed(
        engine="vllm",
        option="tool-call-parser",
        value="minimax",
        since="0.32.0",
        instead="minimax_m2",
        source=_VLLM,
    ),
    *_gone(
        "vllm",
        "0.10.0",
        "https://docs.vllm.ai/en/v0.10.0/features/reasoning_outputs.html",
        {"enable-reasoning": "reasoning-parser alone"},
    ),
    *_gone(
        "vllm",
        "0.17.0",
        f"{_NOTES}21739, {_NOTES}29402",
        {"disable-log-requests": "nothing (or enable-log-requests: false, --no-enable-…)"},
    ),
    *_gone(
        "vllm",
        "0.32.0",
        _VLLM,
        {
            "task": "runner (generate, pooling) or convert (embed, classify)",
            "guided-decoding-backend": "structured-outputs-config, as JSON with a backend",
            "speculative-model": "speculative-config, as JSON with a model",
            "num-speculative-tokens": "speculative-config, as JSON with num_speculative_tokens",
            "num-scheduler-steps": "nothing: scheduling is asynchronous by itself",
            "use-v2-block-manager": "nothing: there is no other",
            "worker-use-ray": "engine.ray with the cluster's address",
            "engine-use-ray": "engine.ray with the cluster's address",
            "swap-space": "kv-offloading-size where the KV cache is to be offloaded",
            "max-seq-len-to-capture": "max-cudagraph-capture-size",
            "max-context-len-to-capture": "max-cudagraph-capture-size",
            "cuda-graph-sizes": "cudagraph-capture-sizes",
            "full-cuda-graph": "compilation-config, as JSON with cudagraph_mode",
            "rope-scaling": "hf-overrides, as JSON with rope_parameters",
            "rope-theta": "hf-overrides, as JSON with rope_parameters",
            "device": "nothing: the build decides (environment)",
            "preemption-mode": "nothing: preempted requests are computed again",
            "disable-mm-preprocessor-cache": "mm-processor-cache-gb: 0",
            "override-pooler-config": "pooler-config",
            # Another engine's words.
            "mem-fraction-static": "gpu-memory-utilization (this is SGLang's word)",
            "context-length": "max-model-len (this is SGLang's word)",
            "session-len": "max-model-len (this is LMDeploy's word)",
            "cache-max-entry-count": "gpu-memory-utilization (this is LMDeploy's word)",
        },
    ),
    *_gone(
        "sglang",
        "0.5.23",
        _SGLANG,
        {
            "enable-ep-moe": "ep-size",
            "enable-deepep-moe": "moe-a2a-backend: deepep",
            "enable-flashinfer": "attention-backend: flashinfer",
            "disable-flashinfer": "attention-backend: triton",
            "enable-torch-compile-max-bs": "torch-compile-max-bs",
            "cuda-graph-max-bs": "cuda-graph-max-bs-decode",
            "cuda-graph-bs": "cuda-graph-bs-decode",
            "max-model-len": "context-length (this is vLLM's word)",
            "gpu-memory-utilization": "mem-fraction-static (this is vLLM's word)",
            "max-num-seqs": "max-running-requests (this is vLLM's word)",
            "max-num-batched-tokens": "chunked-prefill-size (this is vLLM's word)",
            "enforce-eager": "disable-cuda-graph (this is vLLM's word)",
            "enable-expert-parallel": "ep-size (this is vLLM's word)",
            "enable-auto-tool-choice": "nothing: tool-call-parser is enough",
            "session-len": "context-length (this is LMDeploy's word)",
        },
    ),
    *_gone(
        "lmdeploy",
        "0.18.0",
        _LMDEPLOY,
        {
            "instance-num": "max-batch-size",
            "qos-config-path": "nothing: a proxy before the server does that",
            "use-logn-attn": "nothing: it is read from the model's config",
            "max-model-len": "session-len (this is vLLM's word)",
            "gpu-memory-utilization": "cache-max-entry-count (this is vLLM's word)",
            "mem-fraction-static": "cache-max-entry-count (this is SGLang's word)",
            "context-length": "session-len (this is SGLang's word)",
            "max-num-seqs": "max-batch-size (this is vLLM's word)",
            "enforce-eager": "eager-mode, with backend: pytorch (this is vLLM's word)",
            "quantization": "model-format (this is vLLM's word)",
            "kv-cache-dtype": "quant-policy (this is vLLM's word)",
            "enable-auto-tool-choice": "nothing: tool-call-parser is enough",
        },
    ),
    *(
        Renamed(
            engine="lmdeploy",
            option="tool-call-parser",
            value=value,
            since="0.18.0",
            instead="glm47",
            source=_LMDEPLOY,
        )
        for value in ("glm45", "glm4_moe")
    ),
)


def parse_version(text: str) -> Version:
    """`0.32.0+cpu` as (0, 32, 0): what follows the release is left out."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[+a-z]", text)[0]))


def problems(engine: str, args: Args, version: str) -> Iterator[str]:
    """What of `args` an engine of this version is known not to have, and what to write instead."""
    release = parse_version(version)
    for key, given in args.items():
        entry = find(engine, key, given, release)
        if entry is not None:
            named = f"{key}: {entry.value}" if entry.value else key
            title = TITLES[engine]
            yield f"engine.args.{named} {entry.said()} ({title} {version}; {entry.source})"


def find(engine: str, key: str, given: object, release: Version) -> Renamed | None:
    """The entry that a key, or the value it was given, falls under."""
    option = key.strip("-").replace("_", "-")
    values = {str(value) for value in given} if isinstance(given, list) else {str(given)}
    for entry in RENAMED:
        meant = entry.engine == engine and entry.option == option
        if meant and (entry.value is None or entry.value in values) and entry.applies_to(release):
            return entry
    return None

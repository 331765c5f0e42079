"""What was measured on: facts that may explain a difference between two nights."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import socket
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from nightbench import __version__
from nightbench.records import ProvenanceRow
from nightbench.secrets.child_env import FOR_GIT, environment_for
from nightbench.serving.hardware.gpus import Gpu, Inventory
from nightbench.serving.provision.environments import EngineEnvironment

# What says which model a folder holds, without reading gigabytes of weights.
_MODEL_FILES = ("config.json", "generation_config.json", "model.safetensors.index.json")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
_WEIGHTS = (".safetensors", ".bin", ".gguf")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def hardware_class(gpus: Sequence[Gpu], cores: Sequence[int], cpu: str) -> str:
    """GPU model x count x power limit, or CPU model x cores: what series are kept apart by."""
    if not gpus:
        return f"{cpu} x{len(cores)}"
    kinds = Counter(
        f"{gpu.name} {gpu.power_limit_w:.0f} W" if gpu.power_limit_w else gpu.name for gpu in gpus
    )
    return " + ".join(f"{kind} x{count}" for kind, count in sorted(kinds.items()))


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The CPU's name, else its architecture (ARM's cpuinfo has no name)."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def gather(
    *,
    environment: EngineEnvironment | None,
    engine_version: str | None,
    inventory: Inventory,
    gpus: Sequence[Gpu],
    cores: Sequence[int],
    model_path: Path | None,
    model_source: str | None = None,
    container_id: str | None = None,
) -> list[ProvenanceRow]:
    """The facts, with what is not known left out."""
    facts: dict[str, object] = {
        "nightbench_version": __version__,
        "git_commit": git_commit(),
        "host": socket.gethostname(),
        "kernel": platform.release(),
        "cpu_model": cpu_model(),
        "cpu_count": os.cpu_count(),
        "cores": ",".join(map(str, cores)),
        "driver_version": inventory.driver_version,
        "cuda_version": inventory.cuda_version,
        "nvml_problem": inventory.problem,
        "gpu_names": ", ".join(gpu.name for gpu in gpus),
        "gpu_uuids": ", ".join(gpu.uuid for gpu in gpus),
        "gpu_power_limits_w": ", ".join(f"{g.power_limit_w:.0f}" for g in gpus if g.power_limit_w),
        "gpu_max_sm_clocks_mhz": ", ".join(str(g.max_sm_clock_mhz or "?") for g in gpus),
        "python_version": platform.python_version(),
    }
    facts["engine_version"] = engine_version
    if environment is not None:
        facts |= {
            "engine_environment": environment.key,
            "torch_version": environment.torch_version,
            "engine_image": environment.image,
            "engine_image_digest": environment.image_digest,
            "container_id": container_id,
        }
    facts["model_source"] = model_source
    if model_path is not None:
        facts["model_path"] = str(model_path)
        facts["model_revision"] = hub_revision(model_path)
        facts |= {f"digest_{name}": digest(model_path / name) for name in _MODEL_FILES}
        facts |= {f"digest_{name}": digest(model_path / name) for name in _TOKENIZER_FILES}
        facts["weights"] = describe_weights(model_path)
    return [ProvenanceRow(name=k, value=str(v)) for k, v in facts.items() if v not in (None, "")]


def of_remote(base_url: str) -> list[ProvenanceRow]:
    """What is known of an API that somebody else runs: where it is, and who asked it."""
    facts = {
        "base_url": base_url,
        "nightbench_version": __version__,
        "git_commit": git_commit() or "",
        "host": socket.gethostname(),
    }
    return [ProvenanceRow(name=name, value=value) for name, value in facts.items() if value]


def digest(path: Path) -> str | None:
    """SHA-256 of a file, None where there is none."""
    if not path.is_file():
        return None
    return hashlib.sha256(path.read_bytes()).hexdigest()


def hub_revision(model_path: Path) -> str | None:
    """The commit of a hub's snapshot, by the folder the hub's library keeps it in."""
    return model_path.name if model_path.parent.name == "snapshots" else None


def describe_weights(model_path: Path) -> str | None:
    """Names and sizes of the weight files, digested: changes when a file is replaced by another.

    Where a hub's library keeps a file under its own SHA-256, that stands for the size.
    """
    if model_path.is_file():
        return hashlib.sha256(_weight(model_path).encode()).hexdigest()
    if not model_path.is_dir():
        return None
    files = sorted(path for path in model_path.iterdir() if path.suffix in _WEIGHTS)
    listed = "\n".join(_weight(path) for path in files)
    return hashlib.sha256(listed.encode()).hexdigest() if files else None


def _weight(path: Path) -> str:
    blob = path.resolve().name
    content = blob if _SHA256.fullmatch(blob) else str(path.stat().st_size)
    return f"{path.name} {content}"


def git_commit(folder: Path = Path(__file__).parent) -> str | None:
    """The commit of the checkout nightbench runs from, None where it is installed otherwise."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"],
            env=environment_for(FOR_GIT),
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None

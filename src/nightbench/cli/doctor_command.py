"""`nightbench doctor`: what this machine can run, and what stands in the way. Changes nothing."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightbench.home.paths import Home
from nightbench.terminal_text import safe_text

if TYPE_CHECKING:
    from nightbench.serving.hardware.machine import Machine

ENOUGH_DISK_BYTES = 15 << 30  # an engine environment with a CUDA torch, and a small model

USUAL_PORTS = {4200: "nightbench up", 5092: "nightbench watch"}  # engines take any that is free


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench doctor`."""
    subparsers.add_parser("doctor", help="what this machine can run", description=__doc__)


def run(_args: argparse.Namespace) -> int:
    """Print what there is; 1 if something must be done before a night can run."""
    from nightbench.serving.hardware.machine import this_machine

    home, machine = Home.from_env(), this_machine()
    leases, is_well = _leases(machine.leases)
    lines = [
        *_hardware(machine),
        *_disk(home),
        *_engines(home, machine),
        *_extensions(),
        _load_generator(),
        _programs(),
        *leases,
        *_ports(),
        *_history(home),
    ]
    width = max(len(name) for name, _ in lines)
    for name, text in lines:
        print(f"{safe_text(name):<{width}}  {safe_text(text)}")
    return 0 if is_well else 1


def _hardware(machine: Machine) -> list[tuple[str, str]]:
    from nightbench.serving.provenance import cpu_model
    from nightbench.serving.supervise.supervisor import isolation_prefix

    inventory = machine.inventory
    isolated = bool(isolation_prefix("auto"))
    lines = [("cores", f"{len(machine.cores)} ({cpu_model()})")]
    if inventory.problem:
        lines.append(("gpus", f"none: {inventory.problem}"))
    else:
        driver = f"driver {inventory.driver_version}, CUDA {inventory.cuda_version}"
        lines.append(("gpus", f"{len(inventory.gpus)} ({driver})"))
    use = machine.gpu_use([gpu.uuid for gpu in inventory.gpus])
    for gpu in inventory.gpus:
        used, total = use[gpu.uuid].memory_used_bytes / 2**30, gpu.memory_total_bytes / 2**30
        who = ", ".join(map(str, use[gpu.uuid].pids)) or "no process visible to this user"
        lines.append(
            (f"gpu {gpu.index}", f"{gpu.name}, {used:.1f} of {total:.0f} GiB used ({who})")
        )
    if inventory.left_out:
        slices = ", ".join(gpu.uuid for gpu in inventory.left_out)
        lines.append(("MIG slices", f"used only if CUDA_VISIBLE_DEVICES names them: {slices}"))
    kept = "PID namespace" if isolated else "guard process (the kernel allows no PID namespace)"
    return [*lines, ("servers contained by", kept)]


def _load_generator() -> tuple[str, str]:
    from nightbench.load.native.parts import PARTS, load_library

    try:
        missing = [part for part in PARTS if load_library(part) is None]
        how = f"in Python (not compiled: {', '.join(missing)})" if missing else "in C"
    except ImportError as error:
        how = f"cannot start: {error}"
    return ("load generator", how)


def _programs() -> tuple[str, str]:
    """What keeps a program that a model wrote (HumanEval) from what is not its own."""
    from nightbench.accuracy.scoring.programs import confinement

    said = {
        "bubblewrap": "bubblewrap: they see Python and none of your files",
        "landlock": "Landlock and seccomp: they can read Python and none of your files",
        "audit hook": "seccomp, and Python's own checks of what is read (install bubblewrap)",
    }
    try:
        how = said.get(confinement() or "", "nothing: this machine has no seccomp, so none are run")
    except OSError as error:  # a user who may not start this Python asks no less
        how = f"not known: {error.strerror}"
    return ("programs confined by", how)


def _disk(home: Home) -> list[tuple[str, str]]:
    there = next(path for path in (home.root, *home.root.parents) if path.exists())
    free = shutil.disk_usage(there).free
    short = "" if free >= ENOUGH_DISK_BYTES else "  (an engine environment may not fit)"
    return [("home", str(home.root)), ("disk free", f"{free / 2**30:.0f} GiB{short}")]


def _engines(home: Home, machine: Machine) -> list[tuple[str, str]]:
    from nightbench.serving.provision import environments, recipes

    lines = []
    for name in recipes.names():
        recipe = recipes.load(name)
        ready = environments.read_ready(home.engines / recipe.key)
        title = "vLLM" if recipe.distribution == "vllm" else recipe.distribution
        text = f"{title} {ready.version}, torch {ready.torch_version}" if ready else "not built"
        wanted = name == recipes.usual_recipe(has_gpu=machine.has_gpu)
        lines.append((f"engine {name}", text + ("  (what `auto` selects here)" if wanted else "")))
    return lines


def _extensions() -> list[tuple[str, str]]:
    """What other distributions add, and what of it cannot be used."""
    from nightbench.plugins import GROUPS

    return [
        (
            f"{group.noun} {extension.name}",
            f"of {extension.distribution}: {group.problem(extension) or 'usable'}",
        )
        for group in GROUPS
        for extension in group.extensions()
    ]


def _leases(where: Path) -> tuple[list[tuple[str, str]], bool]:
    """Who holds what, and whether nothing needs doing: a folder that is refused, a leftover."""
    from nightbench.cli.lease_view import lease_lines, stray_lines
    from nightbench.errors import LeaseError
    from nightbench.serving.hardware import lease_folder, reaper

    try:
        lease_folder.check(where)
        states, strays = reaper.survey(where)
    except LeaseError as error:
        return [("leases", f"refused: {error.message}"), ("", error.hint)], False
    alone = f" ({lease_folder.ALONE})" if where == lease_folder.own() else ""
    lines = [("leases", f"{where}{alone}"), *lease_lines(states), *stray_lines(strays)]
    left = any(state.is_leftover and (state.living or state.dirty) for state in states)
    if left:
        lines.append(("", "a dead run left something behind: `nightbench reap`"))
    return lines, not left


def _ports() -> list[tuple[str, str]]:
    from nightbench.serving import probing

    lines = []
    for port, purpose in USUAL_PORTS.items():
        pids = ", ".join(map(str, probing.listener_pids(port)))
        taken = probing.is_listening(probing.HOST, port)
        state = f"taken by {pids or 'somebody we may not see'}" if taken or pids else "free"
        lines.append((f"port {port}", f"{state} ({purpose})"))
    return lines


def _history(home: Home) -> list[tuple[str, str]]:
    from datetime import UTC, datetime

    from nightbench.history.open_store import open_store

    return open_store(home).condition(datetime.now(UTC))

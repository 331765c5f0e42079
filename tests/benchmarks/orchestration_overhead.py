"""What a night costs beyond its measuring: seconds per target, milliseconds per level.

    python -m tests.benchmarks.orchestration_overhead [--rounds 3] [--json FILE]

The same questions and the same load go to the same reference server twice: as a night (Prefect's
server, flows, tasks, spool, landing) and bare (the library's own functions, nothing kept). The
difference, over nights of one and of more targets, of one and of more levels, is what a target and
a level cost; what remains is paid once a night: pages, dashboards, messages. Allowed are 5 s per
target and 300 ms per level. The night's home and Prefect's server are new; the first night, which
fills caches, is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import yaml

from tests.truth.reference import ReferenceServer

ONE, MORE_TARGETS, MORE_LEVELS = 1, 4, 9
SHAPES = ((ONE, ONE), (MORE_TARGETS, ONE), (ONE, MORE_LEVELS))  # targets, levels of each
MOST_PER_TARGET_S, MOST_PER_LEVEL_S = 5.0, 0.3
PROMPTS = 2000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nightbench-") as folder:
        extra = _measure(Path(folder), args.rounds)
    base = extra[ONE, ONE]
    found = {
        "per_target_s": (extra[MORE_TARGETS, ONE] - base) / (MORE_TARGETS - ONE),
        "per_level_s": (extra[ONE, MORE_LEVELS] - base) / (MORE_LEVELS - ONE),
        "one_target_night_s": base,
    }
    print(f"a target  {found['per_target_s']:6.2f} s   (at most {MOST_PER_TARGET_S:g})")
    print(f"a level   {found['per_level_s'] * 1000:6.0f} ms  (at most {MOST_PER_LEVEL_S * 1000:g})")
    print(f"a night of one target and one level, all in all  {base:.2f} s")
    if args.json:
        args.json.write_text(json.dumps(found, indent=2), encoding="utf-8")
    kept = found["per_target_s"] <= MOST_PER_TARGET_S and found["per_level_s"] <= MOST_PER_LEVEL_S
    return 0 if kept else 1


def _measure(folder: Path, rounds: int) -> dict[tuple[int, int], float]:
    """The median of what each shape of night took longer than its bare measuring."""
    prompts = "".join(json.dumps({"question": f"What is {n}?"}) + "\n" for n in range(PROMPTS))
    (folder / "prompts.jsonl").write_text(prompts, encoding="utf-8")
    with ReferenceServer(ttft_ms=5, itl_ms=2) as server, _night_runner(folder) as night:
        suites = {shape: _suite(folder, server.endpoint.base_url, *shape) for shape in SHAPES}
        night(suites[ONE, ONE])
        seconds: dict[tuple[int, int], list[float]] = {shape: [] for shape in SHAPES}
        for _ in range(rounds):
            for shape, suite in suites.items():
                night_s, bare_s = night(suite), _bare(suite)
                print(
                    f"{shape[0]} targets x {shape[1]} levels: {night_s:.2f} s, bare {bare_s:.2f} s"
                )
                seconds[shape].append(night_s - bare_s)
    return {shape: median(of) for shape, of in seconds.items()}


def _suite(folder: Path, url: str, targets: int, levels: int) -> Path:
    """A suite of `targets`, each with `levels` of the same load."""
    load = {
        "workload": {"kind": "openqa", "path": "prompts.jsonl"},
        "max_concurrency": 4,
        "num_prompts": 40,
        "generation": {"max_tokens": 8},
    }
    engine = {"kind": "remote", "base_url": url}
    suite = {
        "name": "overhead",
        "targets": [
            {"name": f"target-{n}", "served_model_name": "truth", "engine": engine}
            for n in range(targets)
        ],
        "accuracy": [{"benchmark": "starter", "limit": 8, "generation": {"max_tokens": 4}}],
        "load": [{"name": f"load-{n}"} | load for n in range(levels)],
    }
    path = folder / f"{targets}x{levels}.yaml"
    path.write_text(yaml.safe_dump(suite), encoding="utf-8")
    return path


NIGHT = """
import os, sys, time
from nightbench.cli.prefect_api import prefect_api, prefect_settings
from nightbench.home.paths import Home

home = Home.from_env()
os.environ.update(prefect_settings(home))
with prefect_api(home) as access:
    os.environ.update(access.environment())
    from flows.nightly import nightly

    for line in sys.stdin:
        began = time.monotonic()
        state = nightly(line.strip(), return_state=True)
        assert state.is_completed(), state
        print("took", time.monotonic() - began, flush=True)
"""


@contextmanager
def _night_runner(folder: Path) -> Iterator[Callable[[Path], float]]:
    """Runs nights in one process with a Prefect server of its own; gives the seconds of each."""
    env = os.environ | {
        "NIGHTBENCH_HOME": str(folder / "home"),
        "NIGHTBENCH_LEASES": str(folder / "leases"),
        "PREFECT_API_URL": "",
        "SWANLAB_MODE": "disabled",
    }
    with subprocess.Popen(
        [sys.executable, "-c", NIGHT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=env,
        cwd=folder,
        text=True,
    ) as process:

        def night(suite: Path) -> float:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{suite}\n")
            process.stdin.flush()
            for line in process.stdout:
                if line.startswith("took "):
                    return float(line.split()[1])
            raise AssertionError("the night ended")

        yield night
        assert process.stdin is not None
        process.stdin.close()


def _bare(path: Path) -> float:
    """Seconds to measure the suite's targets with the library alone."""
    from nightbench.accuracy.evaluate import evaluate
    from nightbench.engines.remote import RemoteEngine
    from nightbench.load.drive.jobs import GeneratorOptions
    from nightbench.load.measure import measure_level
    from nightbench.load.plan.levels import plan_levels
    from nightbench.load.plan.workloads import read_prompts
    from nightbench.serving.external_api import connect
    from nightbench.suite.file import read_suite

    file = read_suite(path)
    options = GeneratorOptions(watch_prefix_cache=False)
    began = time.monotonic()
    for target in file.suite.targets:
        assert isinstance(target.engine, RemoteEngine)
        endpoint = connect(target.engine, target.served_model_name, os.environ)
        for benchmark in file.suite.accuracy_of(target):
            evaluate(benchmark, endpoint, base_dir=file.base_dir, on_sample=lambda _: None)
        for spec in file.suite.load_of(target):
            for level in plan_levels(spec):
                prompts = read_prompts(
                    spec.workload, level.prompts_needed, spec.seed, file.base_dir
                )
                with tempfile.TemporaryDirectory() as work_dir:
                    measure_level(
                        level, prompts, endpoint, work_dir=Path(work_dir), options=options
                    )
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())

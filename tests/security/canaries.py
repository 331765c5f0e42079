"""Canary keys through every command and a whole night with hostile servers: where do they end up?

    python -m tests.security.canaries [--keep]

Every kind of secret that nightbench is given is a canary here; the servers, engines, hubs and
channels it talks to repeat what they are sent (hostile.py, echoing_engine.py). Afterwards each file
it wrote, each line it printed, and the command line and environment of each process it started are
searched for the canaries, in any spelling, for parts of 12 characters. A table says what was found;
1 where anything was.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from nightbench.serving.probing import free_port
from tests.security.canary_scene import KINDS, Scene, canary, key_of_blocks
from tests.security.canary_visits import CLICKED, VISITS, visit, without_passwords
from tests.security.hostile import WAYS, Hostile, hostile
from tests.security.looking import Watch, search, told_names

NIGHTBENCH = (sys.executable, "-m", "nightbench.cli.main")
ENGINE = Path(__file__).with_name("echoing_engine.py")
GATEWAY_HEADER = "X-Gateway-Token"
ANSWERS = "in the answer"
TABLES = ("runs", "targets", "servers", "provenance", "accuracy_samples", "load_requests")


# ---------------------------------------------------------------- what is run


def suite_of(scene: Scene, good: Hostile, bad: Hostile) -> dict[str, Any]:
    """A night of two APIs that somebody else runs and two engines of ours."""
    engine = [sys.executable, str(ENGINE), "{port}", str(scene.told)]

    def of_ours(name: str, *how: str) -> dict[str, object]:
        argv = [*engine, *how]
        kind = {"kind": "command", "argv": argv, "pass_env": ["PASSED_TOKEN"]}
        return {"name": name, "served_model_name": "m", "engine": kind, "boot_timeout_s": 30}

    remote = {"kind": "remote", "max_retries": 0, "first_answer_timeout_s": 10}
    header = {"headers": {GATEWAY_HEADER: "${GATEWAY_WORD}"}}
    good_engine = remote | header | {"base_url": f"{good.url}/v1", "api_key_env": "LLM_LOGIN"}
    bad_engine = remote | {"base_url": f"{bad.url}/v1", "api_key_env": "OTHER_API_KEY"}
    level = {"max_concurrency": [4], "num_prompts": len(WAYS) + 4, "warmup_prompts": 0}
    workload = {"kind": "random", "random_input_len": 8}
    return {
        "name": "canaries",
        "targets": [
            {"name": "repeats", "engine": good_engine},
            {"name": "refuses", "served_model_name": "m", "engine": bad_engine},
            of_ours("tells"),
            of_ours("dies", "dies"),
        ],
        "accuracy": [{"benchmark": "starter", "timeout_s": 20}],
        "load": [{"name": "some", "workload": workload, **level}],
    }


def asking(scene: Scene, server: Hostile, *words: str) -> tuple[str, ...]:
    """The words by which `eval` and `load` ask a hostile server."""
    header = f"{GATEWAY_HEADER}=${{GATEWAY_WORD}}"
    where = ("--base-url", f"{server.url}/v1", "--api-key-env", "LLM_LOGIN", "--header", header)
    return (*words[:1], *where, *words[1:])


def short_commands(scene: Scene, stack: ExitStack) -> Iterator[tuple[str, ...]]:
    """`eval` and `load`, answered and refused."""
    out, headers = scene.root / "out", (GATEWAY_HEADER.lower(),)
    servers = [stack.enter_context(hostile(headers, first=ANSWERS)) for _ in range(3)]
    refusing = stack.enter_context(hostile(headers))
    judge_carried(scene, stack, [*servers, refusing])
    files = ("--samples", str(out / "s.jsonl"), "--json", str(out / "e.json"))
    evaluation = ("--benchmark", "starter", "--max-retries", "0", "--timeout", "20")
    yield asking(scene, servers[0], "eval", *evaluation, *files)
    yield asking(scene, refusing, "eval", "--model", "m", *evaluation, "--limit", "2")
    count = ("--dataset", "random:4", "--max-concurrency", "4", "--num-prompts", "40")
    files = ("--requests", str(out / "r.parquet"), "--json", str(out / "l.json"))
    yield asking(scene, servers[1], "load", *count, *files)
    yield asking(scene, servers[2], "load", "--no-stream", "--warmup", "0", *count)


def judge_carried(scene: Scene, stack: ExitStack, servers: Iterable[Hostile]) -> None:
    """When all is over: what came to the other origin is a leak."""

    def judge() -> None:
        for server in servers:
            for header in server.carried:
                scene.leaks.append(("any", "another origin, by a redirect or a proxy", header))

    stack.callback(judge)


def all_commands(scene: Scene, stack: ExitStack) -> Iterator[tuple[str, ...]]:
    """Every command, in the order of an evening and the morning after."""
    headers = (GATEWAY_HEADER.lower(),)
    good = stack.enter_context(hostile(headers, first=ANSWERS, healthy=True))
    bad = stack.enter_context(hostile(headers))
    judge_carried(scene, stack, [good, bad])
    suite = scene.inputs / "canaries.json.yaml"
    night = suite_of(scene, good, bad)
    suite.write_text(json.dumps(night))
    # The same by a click, without the questions: Prefect's part is what matters there.
    clicked = night | {"name": CLICKED, "accuracy": []}
    (scene.suites / f"{CLICKED}.yaml").write_text(json.dumps(clicked))
    (scene.inputs / "bench.json").write_text(json.dumps(foreign_result(scene)))
    replies = scene.inputs / "replies.jsonl"
    replies.write_text(json.dumps({"reply": "ANSWER: A", "gold": "A"}) + "\n")
    yield from short_commands(scene, stack)
    yield ("plan", str(suite))
    yield ("run", str(suite), "--json", str(scene.root / "out" / "run.json"))
    yield ("serve", str(suite), "--target", "tells")
    yield ("serve", str(suite), "--target", "repeats")
    yield ("serve", str(suite), "--target", "dies")
    yield ("show", "latest")
    yield from (("show", "latest", "--samples", which) for which in ("all", "failed"))
    yield ("import", "--from", "vllm-bench", str(scene.inputs / "bench.json"))
    yield from served_commands(scene)
    yield ("land",)
    yield ("history",)
    for form in ("table", "csv", "json"):
        yield from (("sql", f"SELECT * FROM {table}", "--format", form) for table in TABLES)
    yield ("score", "--benchmark", "mcq", "--replies", str(replies))
    yield ("new-suite", str(scene.root / "out" / "new.yaml"), "--yes", "--base-url", good.url)
    yield ("engines",)
    yield ("engines", "build", "nothing-of-that-name")
    yield ("doctor",)
    yield ("reap",)
    yield ("land", "--rebuild")


def served_commands(scene: Scene) -> Iterator[tuple[str, ...]]:
    """What stays until Ctrl-C: Prefect and its worker, SwanLab's pages."""
    yield ("up", "--port", str(free_port()), "--suites", str(scene.suites))
    yield ("watch", "--resync", "--port", str(free_port()))


def foreign_result(scene: Scene) -> dict[str, object]:
    """A result of `vllm bench serve` whose model is named after our key for the hub."""
    folder = Path(__file__).parents[1] / "unit" / "history" / "foreign"
    result: dict[str, object] = json.loads((folder / "vllm-bench-concurrency.json").read_text())
    return result | {"model_id": f"org/{scene.canaries['hub']}"}


def execute(scene: Scene, words: tuple[str, ...], env: dict[str, str]) -> None:
    """Run a command; watch its processes while it runs, then search what it printed."""
    began = time.monotonic()
    printed = scene.root / "printed" / f"{len(scene.ran):02}-{words[0]}.txt"
    with printed.open("wb") as file:
        process = subprocess.Popen(
            (*NIGHTBENCH, *words),
            env=env,
            cwd=scene.root / "out",
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
        with Watch(scene, process.pid):
            if words[0] in VISITS:
                visit(scene, process, printed, words[0])
            code = process.wait(timeout=400)
    scene.ran.append((" ".join(words)[:70], code, time.monotonic() - began))


# ---------------------------------------------------------------- all of it


def prepare(root: Path) -> Scene:
    """A scene with a canary of every kind."""
    scene = Scene(root, {kind: canary(kind.replace(" ", "")) for kind in KINDS})
    scene.canaries["blocks"] = key_of_blocks()
    for name in ("user", "tmp", "out", "inputs", "printed", "leases", "inputs/suites"):
        (root / name).mkdir()
    return scene


def play(scene: Scene, commands: Callable[[Scene, ExitStack], Iterator[tuple[str, ...]]]) -> int:
    """Run the commands against hostile servers, then search; returns how many files were read."""
    with ExitStack() as stack:
        webhook, cloud, proxy = (stack.enter_context(hostile()) for _ in range(3))
        judge_carried(scene, stack, [proxy])
        # What comes by the proxy has to do without any key but the proxy's own.
        env = scene.environment(webhook.url, cloud.url, proxy.elsewhere)
        for words in commands(scene, stack):
            execute(scene, words, without_passwords(env) if words[0] == "up" else env)
    return search(scene)


def report(scene: Scene, files: int) -> str:
    """What was run, and of each kind what was found where."""
    lines = [f"{seconds:6.1f} s  {code:>3}  {words}" for words, code, seconds in scene.ran]
    lines += ["", f"{'kind of key':<28}found"]
    for kind in scene.canaries:
        found = {(where, part) for one, where, part in scene.leaks if one in (kind, "any")}
        lines.append(f"{kind:<28}{len(found) or 'nowhere'}")
        lines += [f"    {where}: {part!r}" for where, part in sorted(found)]
    lines += ["", f"{len(scene.ran)} commands, {len(WAYS)} ways to repeat a key, {files} files"]
    lines += [f"environments looked into: {', '.join(sorted(filter(None, scene.watched)))}"]
    lines += [f"engines got: {', '.join(sorted(told_names(scene)))}"]
    return "\n".join(lines)


def main() -> int:
    """All commands and a night; the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--keep", action="store_true", help="leave the folder, to look into it")
    args = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="nightbench-canaries-"))
    try:
        scene = prepare(root)
        print(report(scene, play(scene, all_commands)))
        return 1 if scene.leaks else 0
    finally:
        if args.keep:
            print(f"everything is in {root}")
        else:
            shutil.rmtree(root)


if __name__ == "__main__":
    sys.exit(main())

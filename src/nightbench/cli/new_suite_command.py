"""`nightbench new-suite`: asks what to benchmark, looks at the machine, writes a suite."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from nightbench.cli.new_suite_text import (
    DEFAULT_BENCHMARKS,
    Found,
    SuiteChoices,
    offered,
    suite_text,
    wizard_of,
)
from nightbench.errors import BadInput
from nightbench.plugins import ENGINES
from nightbench.serving.provision.models import looks_like_a_hub_s

Ask = Callable[[str, str], str]
_PAGES = {
    "https://huggingface.co/": "hf:",
    "https://www.modelscope.cn/models/": "modelscope:",
    "https://modelscope.cn/models/": "modelscope:",
}


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench new-suite`."""
    parser = subparsers.add_parser(
        "new-suite", help="write a suite, interactively or from flags", description=__doc__
    )
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="default: NAME.yaml")
    parser.add_argument("--engine", metavar="KIND", help=", ".join(offered()))
    parser.add_argument("--model", metavar="M", help="hf:…, modelscope:…, a folder, gemma3:4b, …")
    parser.add_argument("--base-url", metavar="URL", help="a server that is already running")
    parser.add_argument("--provider", metavar="NAME", help="a service: siliconflow, dashscope, …")
    parser.add_argument("--api-key-env", metavar="NAME")
    parser.add_argument("--tensor-parallel-size", type=int, metavar="N")
    parser.add_argument(
        "--for-gpus",
        type=int,
        metavar="N",
        help="number of GPUs of the target node (default: this machine's)",
    )
    parser.add_argument("--benchmarks", metavar="A,B", help="starter, iquiz, ceval, …; '' for none")
    parser.add_argument("--max-concurrency", metavar="N[,N…]", help="load levels; '' for no load")
    parser.add_argument("--name", help="the suite's name")
    parser.add_argument("--yes", action="store_true", help="do not ask, use the defaults")
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")


def run(args: argparse.Namespace) -> int:
    """Ask, write, check. Raises BadInput."""
    interactive = sys.stdin.isatty() and not args.yes
    ask = _ask if interactive else _take_the_usual
    found = meant_for(look_around(), args.for_gpus, args.tensor_parallel_size)
    answers = answers_of(args, found, ask)
    path: Path = args.file or Path(f"{answers.suite_name()}.yaml")
    answers = replace(answers, model=_named(answers, path, ask))
    _write(path, suite_text(answers, found), force=args.force)
    print(f"wrote {path}. Next: nightbench plan {path}")
    return 0


def look_around() -> Found:
    """The GPUs and engines of this machine."""
    from nightbench.serving.hardware.machine import this_machine

    commands = (*(wizard.command for wizard in offered().values() if wizard.command), "docker")
    return Found(
        gpus=tuple(gpu.name for gpu in this_machine().inventory.gpus),
        commands=tuple(name for name in commands if shutil.which(name)),
    )


def meant_for(found: Found, for_gpus: int | None, size: int | None) -> Found:
    """What there is on the node that the suite is for: more GPUs than this machine has are another
    machine's. Raises BadInput where the node has fewer than the model is to be spread over."""
    if for_gpus is not None and for_gpus < 0:
        raise BadInput("--for-gpus is a number of GPUs: 0 for a node without any")
    if for_gpus is None and size is not None and size > max(1, len(found.gpus)):
        for_gpus = size
    if for_gpus is not None and size is not None and size > max(1, for_gpus):
        raise BadInput(
            f"--tensor-parallel-size {size} needs as many GPUs, --for-gpus says {for_gpus}"
        )
    return found if for_gpus is None else replace(found, for_gpus=for_gpus)


def answers_of(args: argparse.Namespace, found: Found, ask: Ask) -> SuiteChoices:
    """The flags, and `ask`ing (with what is usual) for what is decided by none of them."""
    engine = args.engine or _engine(args, ask)
    wizard, base_url = wizard_of(engine), args.base_url
    is_remote = not wizard.is_started
    if is_remote and not base_url and not args.provider:
        base_url = ask("its address", "http://127.0.0.1:8000/v1")
    model = args.model
    if model is None:
        model = ask("its model ('' asks the API)", "") if is_remote else _model(engine, ask)
    size = args.tensor_parallel_size
    if size is None:
        has_choice = wizard.is_parallel and found.num_gpus > 1
        usual = 1 if found.for_gpus is None else _power_of_two(found.num_gpus)
        size = _number(ask(f"GPUs to use, of {found.num_gpus}", str(usual))) if has_choice else 1
    benchmarks = args.benchmarks
    if benchmarks is None:
        benchmarks = ask("benchmarks (iquiz, ceval, mmlu, …)", ",".join(DEFAULT_BENCHMARKS))
    levels = args.max_concurrency
    if levels is None:
        levels = ask("load levels: requests at once", "1,4,16")
    return SuiteChoices(
        engine=engine,
        model=model or None,
        base_url=base_url,
        provider=args.provider,
        api_key_env=args.api_key_env,
        tensor_parallel_size=size,
        benchmarks=tuple(name.strip() for name in benchmarks.split(",") if name.strip()),
        max_concurrency=tuple(_number(part) for part in levels.split(",") if part.strip()),
        name=args.name,
    )


def _power_of_two(most: int) -> int:
    """The most GPUs, of so many, that attention heads are dealt out over evenly."""
    return 1 << max(0, most.bit_length() - 1)


def _named(answers: SuiteChoices, path: Path, ask: Ask) -> str | None:
    """The model as the suite is to name it: paths in a suite start from its folder, not from where
    a person types, and a hub's name says which hub."""
    model, wizard = answers.model, wizard_of(answers.engine)
    if model is None or not wizard.is_started or wizard.has_own_names:
        return model
    for address, hub in _PAGES.items():
        if model.startswith(address):
            return hub + model.removeprefix(address).strip("/")
    here = Path(model)
    if here.exists():
        elsewhere = path.absolute().parent != Path.cwd()
        return str(here.absolute()) if elsewhere and not here.is_absolute() else model
    if not looks_like_a_hub_s(model):
        return model
    taken = ask(
        f"{model} is not a folder here: a Hugging Face model, or another one", f"hf:{model}"
    )
    print(f"{model} is not a folder here: the suite uses {taken}")
    return taken


def _engine(args: argparse.Namespace, ask: Ask) -> str:
    if args.base_url or args.provider:
        return "remote"
    return ask(f"engine ({', '.join(offered())})", "vllm")


def _model(engine: str, ask: Ask) -> str:
    model = ask("model", wizard_of(engine).usual_model)
    if not model and ENGINES.find(engine).needs_model:
        raise BadInput(f"--model is needed for {engine}", hint="Such as hf:organisation/name.")
    return model


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadInput(f"{text!r} is not a number") from None


def _ask(question: str, usual: str) -> str:
    shown = f" [{usual}]" if usual else ""
    try:
        return input(f"{question}{shown}: ").strip() or usual
    except EOFError:
        raise BadInput("no input", hint="--yes asks nothing.") from None


def _take_the_usual(_: str, usual: str) -> str:
    return usual


def _write(path: Path, text: str, *, force: bool) -> None:
    if path.exists() and not force:
        raise BadInput(f"{path} already exists", hint="Name another file, or --force.")
    aside = path.with_name(f".{path.name}.new")
    try:
        aside.write_text(text, encoding="utf-8")
        _check(aside)
        aside.replace(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}") from None
    finally:
        aside.unlink(missing_ok=True)


def _check(path: Path) -> None:
    """Plan what was written: an answer that makes no suite is told now, by its key."""
    from nightbench.night.planning import plan_suite, refuse_what_is_wrong
    from nightbench.suite.file import read_suite

    suite = read_suite(path).suite
    refuse_what_is_wrong(plan_suite(suite))
    if not (suite.accuracy or suite.load):
        raise BadInput("no benchmark and no load level: nothing to measure")

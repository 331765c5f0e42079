"""`nightbench eval`: run a benchmark against any OpenAI-compatible endpoint and score it."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightbench.cli.endpoint_argument import add_endpoint_arguments, endpoint_of
from nightbench.cli.result_file import result_file
from nightbench.errors import BadInput, EndpointError
from nightbench.terminal_text import safe_line
from nightbench.untrusted import json_reader

if TYPE_CHECKING:
    from nightbench.accuracy.sample_files import ReplySettings
    from nightbench.endpoint import Endpoint
    from nightbench.records import AccuracyResult, AccuracySample
    from nightbench.suite.models import AccuracySpec


def add_parser(subparsers: Any) -> None:
    """Declare `nightbench eval`."""
    parser = subparsers.add_parser(
        "eval",
        help="run a benchmark against any OpenAI-compatible endpoint and score it",
        description=__doc__,
    )
    add_endpoint_arguments(parser)
    parser.add_argument("--benchmark", required=True, metavar="NAME", help="iquiz, starter, …")
    parser.add_argument(
        "--api",
        choices=["chat", "completions"],
        default="chat",
        help="chat (the default), or completions: the prompt as it stands",
    )
    parser.add_argument("--data", metavar="PATH", help="a local folder or file instead of the hub")
    parser.add_argument("--source", choices=["hf", "modelscope"], help="which hub")
    parser.add_argument("--subsets", metavar="A,B", help="only these subsets")
    parser.add_argument("--limit", type=int, metavar="N", help="at most N questions in total")
    parser.add_argument("--limit-per-subset", type=int, metavar="N")
    parser.add_argument(
        "--sample-seed", type=int, metavar="S", help="with a limit: a random choice, by this seed"
    )
    parser.add_argument("--few-shot", type=int, metavar="N", help="examples shown before")
    parser.add_argument("--max-concurrency", type=int, default=16, metavar="N")
    parser.add_argument("--requests-per-second", type=float, metavar="R")
    parser.add_argument(
        "--max-retries",
        type=int,
        metavar="N",
        help="retries of a failed question, with increasing pauses (4)",
    )
    parser.add_argument("--repeats", type=int, default=1, metavar="N")
    parser.add_argument("--timeout", type=float, default=600.0, metavar="S", help="per request")
    parser.add_argument(
        "--allow-code-execution", action="store_true", help="run what the model wrote, sandboxed"
    )
    _add_generation_arguments(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--samples", type=Path, metavar="FILE", help="write every reply (JSONL)")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue an interrupted eval from its --samples file",
    )


def _add_generation_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("generation (unset options are not sent)")
    group.add_argument("--temperature", type=float)
    group.add_argument("--top-p", type=float)
    group.add_argument("--top-k", type=int)
    group.add_argument("--max-tokens", type=int)
    group.add_argument("--seed", type=int)
    group.add_argument("--system-prompt", metavar="TEXT")
    group.add_argument("--chat-template-kwargs", type=_json_object, metavar="JSON")
    group.add_argument("--extra-body", type=_json_object, metavar="JSON")


def run(args: argparse.Namespace) -> int:
    """Ask, score, write the files, print the table."""
    from nightbench.accuracy.sample_files import ReplySettings

    spec = _spec(args)
    endpoint = endpoint_of(args)
    _refuse_one_file_for_two(args)
    asked_as = ReplySettings.of(spec, endpoint.model)
    refusals = _Refusals()
    with result_file(args.json) as write:
        results = _evaluated(args, spec, endpoint, asked_as, refusals)
        try:
            write(results_json(results))
        finally:
            _say(results, refusals)
    return 0


def _evaluated(
    args: argparse.Namespace,
    spec: AccuracySpec,
    endpoint: Endpoint,
    asked_as: ReplySettings,
    refusals: _Refusals,
) -> tuple[AccuracyResult, ...]:
    from rich.console import Console

    from nightbench.accuracy.evaluate import evaluate
    from nightbench.accuracy.sample_files import SampleFile
    from nightbench.cli.terminal_progress import TerminalProgress

    already = _answered_before(args, asked_as)
    with ExitStack() as stack:
        file = SampleFile(args.samples, asked_as, already) if args.samples else None
        if file is not None:
            stack.enter_context(file)
        on_progress = stack.enter_context(TerminalProgress(Console(stderr=True)))

        def on_sample(sample: AccuracySample) -> None:
            refusals.see(sample)
            if file is not None:
                file.add(sample)

        return evaluate(
            spec,
            endpoint,
            base_dir=Path.cwd(),
            on_sample=on_sample,
            on_progress=on_progress,
            already=already,
            on_plan=file.begin if file else _nowhere,
            requests_per_second=args.requests_per_second,
            max_retries=args.max_retries,
        )


class _Refusals:
    """What the server said where it did not answer."""

    def __init__(self) -> None:
        self._words: Counter[str] = Counter()

    def see(self, sample: AccuracySample) -> None:
        if sample.reply is None:
            self._words[sample.error or sample.error_kind or "no reply"] += 1

    def most_said(self) -> str:
        """The words that came most often."""
        return self._words.most_common(1)[0][0] if self._words else ""


def _say(results: tuple[AccuracyResult, ...], refusals: _Refusals) -> None:
    """The table. Raises EndpointError where nothing was answered at all."""
    whole = results[0]
    refused = bool(whole.num_samples) and whole.num_failed == whole.num_samples
    try:
        _print_table(results)
    finally:
        if refused:
            raise EndpointError(
                f"none of {whole.num_samples} requests succeeded: {refusals.most_said()}",
                hint="The server's error is above; --extra-body and the generation options "
                "change what is sent.",
            )
    if whole.num_failed:
        print(
            f"nightbench: {whole.num_failed} of {whole.num_samples} requests failed, "
            f"most of them with: {safe_line(refusals.most_said())}",
            file=sys.stderr,
        )


def _refuse_one_file_for_two(args: argparse.Namespace) -> None:
    if args.json and args.samples and args.json.absolute() == args.samples.absolute():
        raise BadInput(
            f"--json and --samples both name {args.json}", hint="Name two different files."
        )


def results_json(results: Iterable[AccuracyResult]) -> dict[str, Any]:
    """What `--json` holds: the whole benchmark's row, and its subsets' rows under `subsets`."""
    whole, *parts = (_plain(asdict(result)) for result in results)
    return whole | {"subsets": parts}


def _answered_before(
    args: argparse.Namespace, asked_as: ReplySettings
) -> tuple[AccuracySample, ...]:
    from nightbench.accuracy.sample_files import read_samples

    if not args.resume:
        return ()
    if args.samples is None:
        raise BadInput("--resume needs --samples FILE", hint="Name the file to resume from.")
    return read_samples(args.samples, asked_as) if args.samples.exists() else ()


def _nowhere(_: object) -> None:
    """Nobody wants them."""


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {key: v.isoformat() if hasattr(v, "isoformat") else v for key, v in row.items()}


def _spec(args: argparse.Namespace) -> AccuracySpec:
    from pydantic import ValidationError

    from nightbench.suite.models import AccuracySpec, Generation

    generation = {
        name: value
        for name in ("temperature", "top_p", "top_k", "max_tokens", "seed")
        if (value := getattr(args, name)) is not None
    }
    generation |= {
        name: value
        for name in ("chat_template_kwargs", "extra_body")
        if (value := getattr(args, name)) is not None
    }
    try:
        return AccuracySpec(
            benchmark=args.benchmark,
            api=args.api,
            subsets=tuple(args.subsets.split(",")) if args.subsets else None,
            source=args.source,
            data=args.data,
            sample_seed=args.sample_seed,
            few_shot=args.few_shot,
            system_prompt=args.system_prompt,
            limit=args.limit,
            limit_per_subset=args.limit_per_subset,
            max_concurrency=args.max_concurrency,
            repeats=args.repeats,
            timeout_s=args.timeout,
            allow_code_execution=args.allow_code_execution,
            generation=Generation.model_validate(generation),
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = "".join(f"--{name}" for name in first["loc"][-1:])
        option = option.replace("_", "-").removesuffix("-s")
        given = f"{option} {first['input']}: " if option else ""
        raise BadInput(f"{given}{first['msg']}") from None


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json_reader.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("expected a JSON object")
    return value


def _print_table(results: Iterable[AccuracyResult]) -> None:
    from rich.console import Console

    from nightbench.accuracy.result_table import accuracy_table

    Console().print(accuracy_table(results))

"""The command line of `nightbench load`: its flags, and what they mean as values."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightbench.cli.endpoint_argument import add_endpoint_arguments
from nightbench.errors import BadInput
from nightbench.plugins import WORKLOADS
from nightbench.untrusted import json_reader

if TYPE_CHECKING:
    from nightbench.load.plan.workloads import Prompts
    from nightbench.load.summarize.goodput_limits import GoodputLimits
    from nightbench.suite.models import LoadSpec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare every flag, in groups."""
    _add_target(parser.add_argument_group("what to load"))
    _add_levels(parser.add_argument_group("how hard"))
    _add_workload(parser.add_argument_group("with what"))
    _add_generation(parser.add_argument_group("sampling parameters (unset ones are not sent)"))
    _add_timeouts(parser.add_argument_group("timeouts, in seconds"))
    _add_output(parser.add_argument_group("results"))


def _add_target(group: Any) -> None:
    add_endpoint_arguments(group)
    group.add_argument(
        "--endpoint",
        default="/chat/completions",
        metavar="PATH",
        help="path below the URL (/chat/completions); /completions gets plain prompts",
    )


def _add_levels(group: Any) -> None:
    group.add_argument(
        "--max-concurrency",
        type=_integers,
        metavar="N[,N…]",
        help="closed loop: number of requests in flight; each is a level",
    )
    group.add_argument(
        "--request-rate",
        "--rate",
        type=_rates,
        metavar="R[,R…]",
        help="open loop: requests per second; inf (or -1) sends all at once; each is a level. "
        "-1 has no effect with --max-concurrency: a closed loop has no rate",
    )
    group.add_argument(
        "--burstiness",
        type=float,
        default=1.0,
        metavar="B",
        help="shape of an open loop's gaps: 1 is Poisson (default), inf is constant",
    )
    bound = group.add_mutually_exclusive_group()
    bound.add_argument("--num-prompts", type=int, metavar="N", help="requests per level (100)")
    bound.add_argument(
        "--duration", type=float, metavar="S", help="how many seconds each level sends"
    )
    group.add_argument(
        "--warmup", type=int, default=0, metavar="N", help="warm-up requests before each level"
    )
    group.add_argument(
        "--seed", type=int, default=0, metavar="S", help="seed of prompt order and arrivals (0)"
    )


def _add_workload(group: Any) -> None:
    group.add_argument(
        "--dataset",
        metavar="KIND[:PATH]",
        help=", ".join(_data_sets()),
    )
    group.add_argument(
        "--column",
        metavar="NAME",
        help="the prompt column of a custom JSONL, JSON, CSV or Parquet file",
    )
    group.add_argument("--prompt", metavar="TEXT|@FILE", help="one prompt, sent every time")
    group.add_argument(
        "--query-template",
        type=_object_text,
        metavar="JSON|@FILE",
        help="the request body, with %%m and %%p for the model and the prompt",
    )
    group.add_argument("--min-prompt-length", type=int, default=0, metavar="N")
    group.add_argument(
        "--max-prompt-length",
        type=int,
        metavar="N",
        help="use only prompts within these lengths: tokens with --tokenizer, else characters",
    )
    group.add_argument(
        "--tokenizer", type=Path, metavar="PATH", help="a model folder or its tokenizer.json"
    )
    group.add_argument(
        "--repeat",
        action="store_true",
        help="cycle through a short data set (hits the prefix cache)",
    )
    group.add_argument("--no-stream", action="store_true", help="request whole responses")
    group.add_argument(
        "--stream-options",
        type=_stream_options,
        default={},
        metavar="JSON|off",
        help="added to include_usage; off: send none, for servers that reject it",
    )
    group.add_argument(
        "--continuous-usage",
        action="store_true",
        help="request token counts in each chunk (continuous_usage_stats)",
    )
    group.add_argument(
        "--response-parser",
        metavar="FILE.py:FUNCTION",
        help="for responses not in OpenAI's format: gets each event (a dict), returns what "
        "OpenAI would have sent",
    )


def _data_sets() -> list[str]:
    """How each kind of workload is given; of other distributions' kinds, their names."""
    ours = WORKLOADS.our_names()
    told = [WORKLOADS.find(kind).usage for kind in ours]
    return [*filter(None, told), *(name for name in WORKLOADS.names() if name not in ours)]


def _add_generation(group: Any) -> None:
    for flag, kind in (
        ("--max-tokens", int),
        ("--min-tokens", int),
        ("--temperature", float),
        ("--top-p", float),
        ("--top-k", int),
        ("--frequency-penalty", float),
        ("--presence-penalty", float),
        ("--n-choices", int),
    ):
        group.add_argument(flag, type=kind, metavar="X")
    group.add_argument(
        "--ignore-eos", action="store_true", help="generate exactly max-tokens tokens"
    )
    group.add_argument("--stop", action="append", default=[], metavar="TEXT")
    group.add_argument("--stop-token-ids", type=_integers, default=[], metavar="N[,N…]")
    group.add_argument("--logprobs", action="store_true")
    group.add_argument("--extra-body", type=_object, default={}, metavar="JSON")


def _add_timeouts(group: Any) -> None:
    for flag, default in (
        ("--connect-timeout", 10.0),
        ("--first-token-timeout", 120.0),
        ("--read-timeout", 30.0),
        ("--total-timeout", 600.0),
    ):
        group.add_argument(flag, type=float, default=default, metavar="S", help=f"({default:g})")


def _add_output(group: Any) -> None:
    group.add_argument("--name", default="load", metavar="NAME", help="name of the results")
    group.add_argument(
        "--goodput",
        type=_limits,
        metavar="ttft:MS,tpot:MS,e2el:MS",
        help="count requests that meet all of these",
    )
    group.add_argument("--strict", action="store_true", help="exit with 4 if a level is invalid")
    group.add_argument("--json", type=Path, metavar="FILE", help='write {"levels": [...]}')
    group.add_argument(
        "--requests", type=Path, metavar="FILE.parquet", help="write one row per request"
    )


def spec_of(args: argparse.Namespace) -> LoadSpec:
    """The command line as the load of a suite. Raises BadInput with what was expected."""
    from pydantic import ValidationError

    from nightbench.suite.models import LoadSpec

    bounded_by = {"num_prompts": args.num_prompts, "duration_s": args.duration}
    if args.num_prompts is None and args.duration is None:
        bounded_by["num_prompts"] = 100
    try:
        return LoadSpec.model_validate(
            {
                "name": args.name,
                "workload": _workload(args),
                "max_concurrency": args.max_concurrency,
                "request_rate": _rate(args),
                "burstiness": args.burstiness,
                **bounded_by,
                "warmup_prompts": args.warmup,
                "seed": args.seed,
                "generation": _generation(args),
                "stream_options": _asked_of_streams(args),
                "timeouts_s": {
                    "connect": args.connect_timeout,
                    "first_token": args.first_token_timeout,
                    "between_tokens": args.read_timeout,
                    "total": args.total_timeout,
                },
            }
        )
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'load'}: {problem['msg']}"
            for problem in error.errors()
        )
        raise BadInput(problems, hint="nightbench load --help") from error


def _workload(args: argparse.Namespace) -> dict[str, Any]:
    if args.prompt is not None:
        if args.dataset is not None:
            raise BadInput("--prompt and --dataset exclude each other", hint="give one")
        return {"kind": "prompt", "prompt": _text_or_file(args.prompt)}
    dataset = args.dataset or "random:128"
    workload: dict[str, Any] = {"repeat": args.repeat}
    if ".py:" in dataset:
        path, _, function = dataset.rpartition(":")
        workload |= {"kind": "python", "path": path, "function": function}
    else:
        kind, _, rest = dataset.partition(":")
        workload |= {"kind": kind, **WORKLOADS.find(kind).argument(rest)}
    if args.column is not None:
        workload |= {"column": args.column}
    return workload


def _generation(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "max_tokens": args.max_tokens,
        "min_tokens": args.min_tokens,
        "temperature": args.temperature,
        "top_p": args.top_p,
        "top_k": args.top_k,
        "frequency_penalty": args.frequency_penalty,
        "presence_penalty": args.presence_penalty,
        "n": args.n_choices,
        "ignore_eos": True if args.ignore_eos else None,
        "stop": args.stop,
        "stop_token_ids": args.stop_token_ids,
        "logprobs": True if args.logprobs else None,
        "extra_body": args.extra_body,
    }


def prompts_of(args: argparse.Namespace, spec: LoadSpec, count: int) -> Prompts:
    """The prompts of the load. Raises DataError where there are too few."""
    from nightbench.load.plan.tokens import HubTokenizer
    from nightbench.load.plan.workloads import PromptLengths, read_prompts

    return read_prompts(
        spec.workload,
        count,
        spec.seed,
        Path.cwd(),
        lengths=PromptLengths(shortest=args.min_prompt_length, longest=args.max_prompt_length),
        tokenizer=HubTokenizer(args.tokenizer) if args.tokenizer else None,
    )


def refuse_missing_parser(args: argparse.Namespace) -> None:
    """Raise DataError for a response parser that cannot be loaded: before anything is sent."""
    if args.response_parser is None:
        return
    from nightbench.load.plan.python_files import load_function, split_reference

    path, name = split_reference(args.response_parser)
    load_function(Path(path), name)


def limits_of(args: argparse.Namespace) -> GoodputLimits | None:
    """What a request must meet to count as good."""
    limits = args.goodput
    if not limits:
        return None
    from nightbench.load.summarize.goodput_limits import GoodputLimits

    return GoodputLimits(**{f"{metric}_ms": value for metric, value in limits.items()})


def _integers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _rates(text: str) -> list[float]:
    """Rates; -1 is evalscope's word for inf."""
    return [math.inf if float(part) == -1 else float(part) for part in text.split(",")]


def _rate(args: argparse.Namespace) -> list[float] | None:
    """The rates, where they are not only the absence of one beside a closed loop."""
    unlimited = args.request_rate == [math.inf]
    return None if unlimited and args.max_concurrency is not None else args.request_rate


def _object(text: str) -> dict[str, Any]:
    value = json_reader.loads(_text_or_file(text))
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("expected a JSON object")
    return value


def _stream_options(text: str) -> dict[str, Any] | bool:
    return False if text in ("off", "null", "none") else _object(text)


def _asked_of_streams(args: argparse.Namespace) -> dict[str, Any] | bool:
    continuous = {"continuous_usage_stats": True} if args.continuous_usage else {}
    if args.stream_options is False:
        if continuous:
            raise BadInput("--continuous-usage needs stream options, and --stream-options is off")
        return False
    return {**continuous, **args.stream_options}


def _object_text(text: str) -> str:
    return json.dumps(_object(text))


def _limits(text: str) -> dict[str, float]:
    limits = {}
    for part in text.split(","):
        name, _, value = part.partition(":")
        if name not in ("ttft", "tpot", "e2el"):
            raise argparse.ArgumentTypeError("expected ttft:MS, tpot:MS, e2el:MS")
        limits[name] = float(value)
    return limits


def _text_or_file(text: str) -> str:
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{text[1:]} cannot be read: {error.strerror}") from error

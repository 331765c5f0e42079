"""An engine's own validation of its command line. Run inside the engine's environment.

On stdin, as JSON: `kind` (vllm, sglang, lmdeploy), `words` (what follows the engine's command) and
`model` (a folder, or null). Prints one JSON object:

    version    the engine's
    problems   each {message, option, value, choices}: what the engine refuses, in its own words,
               and the names there are
    unchecked  what could not be looked at, and why

Nothing is started and no weights are read. What an engine refuses one at a time is taken out and
the rest parsed again, so that all of it is said at once.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import types
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

MOST_PROBLEMS = 20
# What a machine without the suite's GPUs says, whatever the arguments are.
OF_THE_MACHINE = re.compile(r"gpu|cuda|device|driver|memory|nccl|hardware", re.IGNORECASE)


class Refused(Exception):
    """What an argument parser said instead of exiting."""


class ArgumentFindings:
    """What is found."""

    def __init__(self) -> None:
        self.problems: list[dict[str, Any]] = []
        self.unchecked: list[str] = []

    def refuse(self, message: str, option: str = "", value: str = "", choices: Any = ()) -> None:
        """Note what the engine does not take."""
        names = sorted(str(choice) for choice in choices)
        self.problems.append(
            {"message": message, "option": option, "value": value, "choices": names}
        )

    def of_config(self, error: BaseException) -> None:
        """Sort what building a configuration raised: the arguments' fault, or this machine's."""
        said = first_lines(error)
        is_about_arguments = isinstance(error, (ValueError, TypeError, KeyError, AssertionError))
        if is_about_arguments and not OF_THE_MACHINE.search(said):
            self.refuse(said)
        else:
            self.unchecked.append(f"{type(error).__name__}: {said}")


def first_lines(error: BaseException) -> str:
    """What an error says, without the addresses and inputs that pydantic adds."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith("For further information")]
    return re.sub(r"\[type=.*", "", " ".join(told[:4])).strip()[:400] or type(error).__name__


def refuse_instead_of_exit(_: argparse.ArgumentParser, message: str) -> NoReturn:
    """argparse's `error`, as an exception."""
    raise Refused(message)


def parse(parser: argparse.ArgumentParser, whole: list[str], report: ArgumentFindings) -> Any:
    """The namespace of a command line, None where it cannot be had; all that is refused is noted.

    `parser` is asked for the options there are; `whole` begins with its subcommands, if any.
    """
    argparse.ArgumentParser.error = refuse_instead_of_exit  # type: ignore[method-assign,assignment]
    leaf, words = innermost(parser, whole), list(whole)
    for _ in range(MOST_PROBLEMS):
        try:
            return parser.parse_args(words)
        except Refused as refused:
            options = note(str(refused), leaf, report)
        except SystemExit:
            report.refuse("the arguments request help or a version and start no server")
            return None
        except Exception as error:  # noqa: BLE001 - an engine's own checks while it parses
            report.refuse(first_lines(error))
            return None
        shorter = without(words, options)
        if shorter == words:
            return None
        words = shorter
    return None


def innermost(parser: argparse.ArgumentParser, words: list[str]) -> argparse.ArgumentParser:
    """The parser of the subcommand that is called."""
    for word in words:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction) and word in action.choices:
                return innermost(action.choices[word], words[1:])
    return parser


def note(message: str, leaf: argparse.ArgumentParser, report: ArgumentFindings) -> list[str]:
    """Note one refusal; the options it is about."""
    known = [option for option in leaf._option_string_actions if option.startswith("--")]
    if message.startswith("unrecognized arguments:"):
        unknown = [word.split("=")[0] for word in message.split() if word.startswith("--")]
        for option in unknown:
            report.refuse("no such option", option, "", known)
        if not unknown:
            report.refuse(message)
        return unknown
    named = re.match(r"(?:argument|ambiguous option:) (.*?)(?::| could match)", message)
    option = (
        next((w for w in re.split(r"[/ ,]", named[1]) if w.startswith("--")), "") if named else ""
    )
    action = leaf._option_string_actions.get(option)
    choices = (action.choices if action is not None else None) or ()
    chosen = re.search(r"invalid choice: '?([^' ]+)'?", message)
    said = "no such choice" if chosen else re.sub(r"^argument [^:]*: ", "", message)
    report.refuse(said, option, chosen[1] if chosen else "", choices)
    return [option] if option else []


def without(words: list[str], options: list[str]) -> list[str]:
    """The words without these options and their values."""
    kept, skipping = [], False
    for word in words:
        if word.startswith("--"):
            skipping = word.split("=")[0] in options
        if not skipping:
            kept.append(word)
    return kept


def check_parser_name(
    report: ArgumentFindings, what: str, option: str, name: str | None, there: list[str]
) -> None:
    """Note a parser that is not registered."""
    if name and name not in there:
        report.refuse(f"no such {what}", option, name, there)


def check_vllm(words: list[str], model: str | None, report: ArgumentFindings) -> str:
    """As `vllm serve` does before it loads anything."""
    # Their place moves between versions; the subcommand that uses them does not.
    from vllm.entrypoints.cli.serve import ServeSubcommand  # type: ignore[import-not-found]

    try:
        from vllm.utils.argparse_utils import (  # type: ignore[import-not-found]
            FlexibleArgumentParser,
        )
    except ImportError:
        from vllm.utils import FlexibleArgumentParser  # type: ignore[import-not-found]
    parser = FlexibleArgumentParser(prog="vllm")
    serve = ServeSubcommand()
    serve.subparser_init(parser.add_subparsers(dest="subparser"))
    args = parse(parser, ["serve", *words], report)
    if args is not None:
        try:
            serve.validate(args)
        except Exception as error:  # noqa: BLE001 - it would raise it at boot as well
            report.refuse(first_lines(error))
        check_vllm_parsers(args, report)
        check_vllm_config(args, model, report)
    return version("vllm")


def check_vllm_parsers(args: Any, report: ArgumentFindings) -> None:
    """What vLLM looks up when its server starts."""
    from vllm.reasoning import ReasoningParserManager  # type: ignore[import-not-found]

    try:
        from vllm.tool_parsers import ToolParserManager  # type: ignore[import-not-found]
    except ImportError:
        from vllm.entrypoints.openai.tool_parsers import (  # type: ignore[import-not-found]
            ToolParserManager,
        )
    for manager, load, plugin in (
        (ToolParserManager, "import_tool_parser", getattr(args, "tool_parser_plugin", None)),
        (
            ReasoningParserManager,
            "import_reasoning_parser",
            getattr(args, "reasoning_parser_plugin", None),
        ),
    ):
        if plugin:
            getattr(manager, load)(plugin)
    if args.enable_auto_tool_choice:
        there = registered(ToolParserManager)
        check_parser_name(report, "tool parser", "--tool-call-parser", args.tool_call_parser, there)
    reasoning = getattr(args, "reasoning_parser", None) or getattr(
        getattr(args, "structured_outputs_config", None), "reasoning_parser", None
    )
    there = registered(ReasoningParserManager)
    check_parser_name(report, "reasoning parser", "--reasoning-parser", reasoning, there)


def registered(manager: Any) -> list[str]:
    """The names a registry holds."""
    if hasattr(manager, "list_registered"):
        return list(manager.list_registered())
    return list(getattr(manager, "tool_parsers", None) or manager.reasoning_parsers)


def check_vllm_config(args: Any, model: str | None, report: ArgumentFindings) -> None:
    """Build the engine's configuration, where the model's own is at hand."""
    import vllm  # type: ignore[import-not-found]

    if model is None or not (Path(model) / "config.json").is_file():
        report.unchecked.append("whatever depends on the model's config.json, which is not here")
        return
    args.model = model
    try:
        vllm.AsyncEngineArgs.from_cli_args(args).create_engine_config()
    except Exception as error:  # noqa: BLE001 - sorted by what it is
        report.of_config(error)


def check_sglang(words: list[str], model: str | None, report: ArgumentFindings) -> str:
    """As `sglang.launch_server` does, as far as it asks neither model nor GPU."""
    from sglang.srt.server_args import ServerArgs  # type: ignore[import-not-found]

    parser = argparse.ArgumentParser(prog="sglang")
    ServerArgs.add_cli_args(parser)
    args = parse(parser, words, report)
    if args is not None:
        try:
            # Its own name for "validate what does not depend on a model".
            args.model_path = "dummy"
            server_args = ServerArgs.from_cli_args(args)
            if hasattr(server_args, "resolve_once"):
                server_args.resolve_once()
        except Exception as error:  # noqa: BLE001 - sorted by what it is
            report.of_config(error)
        report.unchecked.append("whatever SGLang derives from the model and the GPU")
    return version("sglang")


def check_lmdeploy(words: list[str], model: str | None, report: ArgumentFindings) -> str:
    """As `lmdeploy serve api_server` does, up to where it would load the model."""
    from lmdeploy.cli import serve as cli_serve  # type: ignore[import-not-found]
    from lmdeploy.cli.cli import CLI  # type: ignore[import-not-found]

    cli_serve.SubCliServe.add_parsers()
    args = parse(CLI.parser, words, report)
    if args is not None:
        check_lmdeploy_parsers(args, report)
        try:
            build_lmdeploy_config(cli_serve, args)
        except Exception as error:  # noqa: BLE001 - sorted by what it is
            report.of_config(error)
        if model is None:
            report.unchecked.append("whatever depends on the model, which is not here")
    return version("lmdeploy")


def check_lmdeploy_parsers(args: Any, report: ArgumentFindings) -> None:
    """What LMDeploy looks up when its server starts."""
    from lmdeploy.serve.parsers.reasoning_parser import (  # type: ignore[import-not-found]
        LEGACY_REASONING_PARSER_NAMES,
        ReasoningParserManager,
    )
    from lmdeploy.serve.parsers.tool_parser import (  # type: ignore[import-not-found]
        ToolParserManager,
    )

    tools = list(ToolParserManager.module_dict)
    thoughts = [*ReasoningParserManager.module_dict, *LEGACY_REASONING_PARSER_NAMES]
    named = args.tool_call_parser, args.reasoning_parser
    check_parser_name(report, "tool parser", "--tool-call-parser", named[0], tools)
    check_parser_name(report, "reasoning parser", "--reasoning-parser", named[1], thoughts)


def build_lmdeploy_config(cli_serve: Any, args: Any) -> None:
    """Its own way from arguments to a configuration; the servers it would call do nothing."""
    for name, call in (("api_server", "serve"), ("launch_server", "launch_server")):
        module = types.ModuleType(f"lmdeploy.serve.openai.{name}")
        setattr(module, call, lambda *_, **__: None)
        sys.modules[module.__name__] = module
    archs = types.ModuleType("lmdeploy.archs")
    archs.autoget_backend = lambda *_, **__: args.backend  # type: ignore[attr-defined]
    sys.modules["lmdeploy.archs"] = archs
    cli_serve.get_max_batch_size = lambda _: 128  # it asks the GPU
    cli_serve.get_chat_template = lambda *_, **__: None  # it asks the model
    args.run(args)


CHECKS = {"vllm": check_vllm, "sglang": check_sglang, "lmdeploy": check_lmdeploy}


def main() -> None:
    """Read the question, print the answer; what the engine itself prints goes to stderr."""
    asked, answer = json.load(sys.stdin), os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    report, found = ArgumentFindings(), ""
    try:
        found = CHECKS[asked["kind"]](asked["words"], asked["model"], report)
    except (ImportError, AttributeError) as error:
        report.unchecked.append(f"its validation has moved: {error}")
    json.dump(
        {"version": found, "problems": report.problems, "unchecked": report.unchecked}, answer
    )
    answer.flush()
    os._exit(0)  # the world that was imported says goodbye with threads and tracebacks


if __name__ == "__main__":
    main()

"""How commands that ask an API take it: by URL or by a provider's name, with the key's variable."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nightbench import addresses
from nightbench.errors import BadInput
from nightbench.secrets.values import has_userinfo
from nightbench.terminal_text import safe_line
from nightbench.untrusted.limits import DEFAULT_LIMITS, MB, MOST_MB, AnswerLimits, megabytes

if TYPE_CHECKING:
    from nightbench.endpoint import Endpoint


def add_endpoint_arguments(group: Any) -> None:
    """--base-url or --provider, --model, --api-key-env, --header, how much may be answered."""
    where = group.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--base-url",
        metavar="URL",
        help="http://HOST:PORT/v1, used as given; /v1 is added only if it has no path",
    )
    where.add_argument(
        "--provider",
        metavar="NAME",
        help="siliconflow, dashscope, modelscope, xunfei, internlm: sets the address and the "
        "variable "
        "the key is read from",
    )
    group.add_argument(
        "--model",
        metavar="M",
        help="the served model's name (default: the only one the server lists)",
    )
    group.add_argument("--api-key-env", metavar="NAME", help="environment variable with the key")
    group.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="K=V",
        help="an extra header; repeatable. ${NAME} in it expands to an environment variable: "
        "every user of this machine can read what is typed here",
    )
    group.add_argument("--insecure", action="store_true", help="accept any TLS certificate")
    group.add_argument(
        "--wait-s",
        type=float,
        default=0.0,
        metavar="S",
        help="how long to wait for a server that is not up yet or still loads its model (0: do "
        "not wait)",
    )
    _add_limits(group)


def _add_limits(group: Any) -> None:
    for name, what, default in (
        ("answer", "one response", DEFAULT_LIMITS.answer_bytes),
        ("error", "one error response", DEFAULT_LIMITS.error_bytes),
        ("model-list", "the list of models", DEFAULT_LIMITS.model_list_bytes),
    ):
        group.add_argument(
            f"--max-{name}-mb",
            dest=f"{name.replace('-', '_')}_bytes",
            type=_megabytes,
            default=default,
            metavar="MB",
            help=f"size limit of {what} ({megabytes(default)})",
        )


def endpoint_of(args: argparse.Namespace) -> Endpoint:
    """Where to ask, with the key from the environment and the model asked for if it is not given.

    Raises BadInput, and EndpointError where the model cannot be found out.
    """
    from nightbench.endpoint import Endpoint
    from nightbench.secrets.redaction import Redactor
    from nightbench.secrets.values import shown_name

    base_url, key_env = _place(args)
    key = ""
    if key_env:
        key = os.environ.get(key_env, "")
        if not key:
            raise BadInput(
                f"the environment variable {shown_name(key_env)} is not set",
                hint=f"export {shown_name(key_env)}=… first; keys are not taken from the command "
                "line",
            )
    endpoint = Endpoint(
        base_url=base_url,
        model=args.model or "",
        api_key=key,
        headers=tuple(_header(text) for text in args.header),
        redact=Redactor.from_env(os.environ),
        limits=AnswerLimits(
            answer_bytes=args.answer_bytes,
            error_bytes=args.error_bytes,
            model_list_bytes=args.model_list_bytes,
        ),
        verify_tls=not args.insecure,
    )
    return _waited_for(endpoint, args.wait_s)


def _place(args: argparse.Namespace) -> tuple[str, str | None]:
    """The URL as it is given, and the variable of the key."""
    if args.provider is not None:
        from nightbench.engines.providers import PROVIDERS

        if args.provider not in PROVIDERS:
            raise BadInput(
                f"unknown --provider {args.provider}", hint=f"Known: {', '.join(PROVIDERS)}."
            )
        provider = PROVIDERS[args.provider]
        return provider.base_url, args.api_key_env or provider.api_key_env
    try:
        unsafe = has_userinfo(args.base_url)
    except ValueError:
        unsafe = False  # said below
    if unsafe:
        raise BadInput(
            "--base-url has a user or a password in it, which every user of this machine can read",
            hint="Put them into a variable: --header 'Authorization=Basic ${LOGIN}' (in base64), "
            "or --api-key-env NAME.",
        )
    try:
        return addresses.with_api_path(args.base_url), args.api_key_env
    except ValueError as error:
        # Not repeated: there may be a key in it.
        raise BadInput(
            f"--base-url: {error}", hint="A key goes into --header, by ${NAME}."
        ) from None


def _waited_for(endpoint: Endpoint, wait_s: float) -> Endpoint:
    """With its model, and once it has answered where that is waited for."""
    if endpoint.model and wait_s <= 0:
        return endpoint
    from nightbench.serving.external_api import only_model, wait_until_answered
    from nightbench.serving.patience import Patience

    patience = Patience(patience_s=max(0.0, wait_s), say=_say)
    if not endpoint.model:
        endpoint = replace(endpoint, model=only_model(endpoint, patience))
    if wait_s > 0:
        wait_until_answered(endpoint, patience)
    return endpoint


def _say(words: str) -> None:
    print(f"nightbench: waiting: {safe_line(words, max_chars=300)}", file=sys.stderr)


def _megabytes(text: str) -> int:
    try:
        size_mb = float(text)
    except ValueError:
        size_mb = 0.0
    if not 0 < size_mb <= MOST_MB:
        raise argparse.ArgumentTypeError(f"expected a number of MB, not {text!r}")
    return round(size_mb * MB)


def _header(text: str) -> tuple[str, str]:
    from nightbench.endpoint import filled

    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise BadInput("--header: expected NAME=VALUE")
    return name.strip(), filled(value, os.environ)

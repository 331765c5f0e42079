"""The morning's message, and the one about a night that did not get through.

Where it goes: NIGHTBENCH_ALERT_URL, and every Prefect block whose name begins with
`nightbench-alert` (a notification block of any kind, or a Secret with an address for apprise).
No trouble of a message ever becomes trouble of a night.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Callable, Iterator
from typing import Any

from prefect import Flow, get_client, runtime
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.client.schemas.objects import FlowRun, State
from prefect.logging import get_run_logger
from prefect.logging.loggers import flow_run_logger
from prefect.utilities.urls import url_for
from pydantic import SecretStr

from nightbench.alerts import sending
from nightbench.alerts.message import Message, morning_message, trouble_message
from nightbench.alerts.sending import channels, channels_of, reason, without_marks
from nightbench.dashboards.pointers import pointers
from nightbench.dashboards.run_page import Pointer
from nightbench.errors import HistoryError
from nightbench.history.run_results import RunResults
from nightbench.home.paths import Home
from nightbench.night.annotating import quiet_events
from nightbench.night.run import Night
from nightbench.secrets.redacted_errors import without_secrets
from nightbench.secrets.redaction import Redactor
from nightbench.secrets.values import secrets_of_address
from tasks.finishing import TargetsFailed
from tasks.redacting import step
from tasks.run_naming import suite_of

BLOCKS = "nightbench-alert"
# "schedule": only nights that began by themselves; anything else: every run of `nightly`.
WHEN = "NIGHTBENCH_ALERT_ON"

Send = Callable[[Message], None]


@step(name="morning message", task_run_name="morning message")
def send_morning_message(night: Night, results: RunResults) -> None:
    """Tell people what ran, what failed, what was skipped and what regressed: once, in the end."""
    if os.environ.get(WHEN) == "schedule" and night.trigger != "schedule":
        return
    further = (
        *_run_pointers(runtime.flow_run.id if runtime.deployment.id else None),
        *pointers(night.run_id, night.suite.swanlab, os.environ),
    )
    message = morning_message(results, pointers=further, quiet=_quiet_events())
    send(message, get_run_logger())


def _quiet_events() -> set[str]:
    """The events that somebody has taken on and that are to be quiet today."""
    try:
        return quiet_events(Home.from_env())
    except HistoryError:
        return set()


def say_that_it_failed(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """A hook of `nightly`: a night that ended before it had results is not silent."""
    outcome = state.result(raise_on_failure=False)
    if isinstance(outcome, TargetsFailed | RunResults):
        return  # it had its message
    suite = suite_of(flow_run.parameters)
    further = _run_pointers(str(flow_run.id) if flow_run.deployment_id else None)
    send(
        trouble_message(suite, state.message or state.name or "it failed", further),
        flow_run_logger(flow_run, flow),
    )


def send(message: Message, logger: Any) -> None:
    """To everyone who is to be told; what cannot be told is said in the log."""
    message = sending.without_secrets(message, os.environ)
    sent = 0
    for name, tell in _everyone(logger):
        try:
            tell(message)
        except Exception as error:  # noqa: BLE001 - whoever made the block, a night goes on
            logger.warning("the message was not sent by %s: %s", name, reason(error))
        else:
            sent += 1
            logger.info("alert sent by %s: %s", name, message.subject)
    if not sent:
        logger.info("no alert was sent (see docs/secrets.md): %s", message.subject)


def _everyone(logger: Any) -> Iterator[tuple[str, Send]]:
    """Who is told, as a name that may be shown."""
    for channel in channels_of(os.environ):
        yield channel.name, channel.send
    try:
        references = _references()
    except Exception as error:  # noqa: BLE001 - as above
        logger.warning("the alert blocks could not be read: %s", reason(error))
        return
    for reference in references:
        yield from _of_block(reference, logger)


def _references() -> list[str]:
    """The blocks that alert, as `type/name`; what they hold is not read here."""
    with get_client(sync_client=True) as client:
        documents = client.read_block_documents(include_secrets=False)
    return sorted(
        f"{document.block_type.slug}/{document.name}"
        for document in documents
        if document.block_type is not None and (document.name or "").startswith(BLOCKS)
    )


def _of_block(reference: str, logger: Any) -> Iterator[tuple[str, Send]]:
    try:
        block = Block.load(reference)
    except Exception as error:  # noqa: BLE001 - as above
        logger.warning("the block %s could not be read: %s", reference, reason(error))
        return
    if isinstance(block, Secret):
        for channel in channels(str(block.get()), reference):
            yield channel.name, channel.send
    elif isinstance(block, NotificationBlock):
        yield reference, _notifier(block)
    else:
        logger.warning("the block %s cannot send messages: use a notification block", reference)


def _notifier(block: NotificationBlock) -> Send:
    def notify(message: Message) -> None:
        message = without_marks(message)
        with (
            without_secrets(Redactor.from_env().knowing(*_secrets_of(block))),
            block.raise_on_failure(),
        ):
            told: object = block.notify(body=message.body, subject=message.subject)
            if inspect.iscoroutine(told):  # Prefect's own are synchronous here; others are not
                asyncio.run(told)

    return notify


def _secrets_of(block: Block) -> set[str]:
    """Where it sends to, and as whom: what its fields hide."""
    fields = [getattr(block, name) for name in type(block).model_fields]
    hidden = [one.get_secret_value() for one in fields if isinstance(one, SecretStr)]
    return {part for value in hidden for part in secrets_of_address(value)}


def _run_pointers(flow_run_id: str | None) -> tuple[Pointer, ...]:
    """The run's page, where a server stays up to show it."""
    url = url_for("flow-run", flow_run_id) if flow_run_id else None
    return (Pointer("The run", url=url),) if url else ()

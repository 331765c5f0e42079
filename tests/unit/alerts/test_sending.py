"""A message gets out, to a real server; its address does not."""

from __future__ import annotations

import pytest
from receiving import receiver

from nightbench.alerts.message import Message
from nightbench.alerts.sending import (
    channels,
    channels_of,
    reason,
    without_marks,
    without_secrets,
)
from nightbench.errors import AlertError

SECRET = "T0KEN-that-nobody-may-see"
MESSAGE = Message("❌ starter: 1 failed", "Failed\n• a <b> & c")


def test_a_plain_address_gets_what_slack_and_its_likes_take() -> None:
    with receiver() as chat:
        [channel] = channels_of({"NIGHTBENCH_ALERT_URL": f"{chat.url}/services/{SECRET}"})
        channel.send(MESSAGE)
    assert chat.paths == [f"/services/{SECRET}"]
    assert chat.bodies == [{"text": "❌ starter: 1 failed\n\nFailed\n• a &lt;b&gt; &amp; c"}]


def test_any_webhook_is_reached_through_apprise() -> None:
    with receiver() as hook:
        [channel] = channels(hook.url.replace("http://", "json://") + "/hook", "X")
        channel.send(MESSAGE)
    [body] = hook.bodies
    assert (body["title"], body["message"]) == (MESSAGE.subject, MESSAGE.body)


@pytest.mark.parametrize("scheme", ["http", "json"])
def test_a_receiver_that_refuses_is_an_error_without_the_address(scheme: str) -> None:
    with receiver() as hook:
        hook.status = 403
        address = hook.url.replace("http://", f"{scheme}://") + f"/{SECRET}"
        [channel] = channels(address, "NIGHTBENCH_ALERT_URL")
        with pytest.raises(AlertError, match="NIGHTBENCH_ALERT_URL") as caught:
            channel.send(MESSAGE)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(channel)
    assert "403" in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        f"http://127.0.0.1:9/{SECRET}",
        f"http://[{SECRET}",
        f"json://127.0.0.1:9/{SECRET}",
        f"mailto://me:{SECRET}@127.0.0.1:9?to=a@b.example",
        f"nosuchthing://{SECRET}",
        SECRET,
    ],
)
def test_an_address_where_nobody_is_is_an_error_without_the_address(address: str) -> None:
    [channel] = channels(address, "X")
    with pytest.raises(AlertError) as caught:
        channel.send(MESSAGE)
    assert SECRET not in str(caught.value)


def test_several_addresses_are_several_channels() -> None:
    names = [channel.name for channel in channels("http://a/x\n mailto://b", "X")]
    assert names == ["X (http)", "X (mailto)"]
    assert channels_of({}) == []


def test_what_the_environment_keeps_secret_does_not_get_out() -> None:
    env = {"MY_API_KEY": SECRET, "NIGHTBENCH_ALERT_URL": "http://hook/abcdefgh"}
    told = without_secrets(Message("s", f"failed with {SECRET} at http://hook/abcdefgh"), env)
    assert told.body == "failed with *** at ***"


def test_a_reason_has_no_address_in_it() -> None:
    error = RuntimeError(f"cannot reach https://h/{SECRET} (refused)")
    assert SECRET not in reason(error)


def test_a_channel_that_takes_angle_brackets_for_tags_gets_none() -> None:
    message = without_marks(Message("<!channel>", "<a href='x'>click</a>"))
    assert not set("<>") & set(message.subject + message.body)


def test_what_a_receiver_repeats_of_an_address_is_not_told() -> None:
    address = "https://hooks.example.com/services/T0CANARY6/x7canary7xX9"
    [channel] = channels(address, "X")
    told = reason(RuntimeError("no such hook: x7canary7xX9"), *channel.secrets())
    assert told == "RuntimeError: no such hook: ***"

"""Alerts, to a real webhook."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from perdure.errors import OutcomeUnknown, ToolError
from perdure.tools.alerts import send_alert
from tests.tools.desk import Desk
from tests.tools.loopback import Loopback, redirect, reply

SECRET = "/services/T000/secret"  # noqa: S105 - an address that must not be told


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest_asyncio.fixture
async def webhook(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Loopback]:
    async with Loopback({SECRET: reply(b"ok")}) as webhook:
        monkeypatch.setenv("PERDURE_ALERT_WEBHOOK", webhook.url + SECRET)
        yield webhook


async def test_an_alert_is_posted_once(desk: Desk, webhook: Loopback) -> None:
    """As Slack takes it, with what others may want, and with the call's key against doubles."""
    sent = await desk.call(send_alert, title="Disk <full>", text="99 % & more", severity="critical")
    assert sent == "The alert was sent."
    [request] = webhook.requests
    head, body = request.split("\r\n\r\n")
    assert f"POST {SECRET} HTTP/1.1" in head
    assert "idempotency-key: run:1" in head
    assert json.loads(body) == {
        "text": "CRITICAL: Disk &lt;full&gt;\n99 % &amp; more",
        "title": "Disk <full>",
        "severity": "critical",
        "run": "run",
        "key": "run:1",
    }


async def test_a_call_is_never_repeated_by_itself() -> None:
    """Nobody wants the same alarm twice."""
    assert send_alert.replay == "unsafe"


async def test_without_a_webhook_nothing_can_be_sent(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence names the variable."""
    monkeypatch.delenv("PERDURE_ALERT_WEBHOOK", raising=False)
    assert "PERDURE_ALERT_WEBHOOK is not set" in await desk.refusal(send_alert, title="t", text="x")


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:1/secret", "hooks.test/secret", "http:///secret", "http://[secret"],
)
async def test_what_was_not_sent_is_a_plain_error(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """The model may try again; the address, which is a secret, is not told."""
    monkeypatch.setenv("PERDURE_ALERT_WEBHOOK", address)
    with pytest.raises(ToolError, match="nothing was sent") as refused:
        await desk.call(send_alert, title="t", text="x")
    assert not isinstance(refused.value, OutcomeUnknown)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200", reply(status="502 Bad Gateway")])
async def test_what_may_have_been_sent_is_unknown(
    desk: Desk, webhook: Loopback, answer: bytes
) -> None:
    """The request was out when the connection broke, or somebody in between gave up."""
    webhook.answers[SECRET] = answer
    with pytest.raises(OutcomeUnknown, match="may have arrived") as unknown:
        await desk.call(send_alert, title="t", text="x")
    assert "secret" not in str(unknown.value)
    assert len(webhook.requests) == 1


@pytest.mark.parametrize("answer", [reply(status="403 Forbidden"), redirect("http://x.test/")])
async def test_a_refusal_is_told(desk: Desk, webhook: Loopback, answer: bytes) -> None:
    """With its code; a redirect is not followed."""
    webhook.answers[SECRET] = answer
    assert "refused the alert with" in await desk.refusal(send_alert, title="t", text="x")


async def test_the_webhook_is_in_no_log(
    desk: Desk, webhook: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even in the libraries' own."""
    caplog.set_level("DEBUG")
    await desk.call(send_alert, title="t", text="x")
    assert "secret" not in caplog.text


async def test_a_cancelled_alert_ends_at_once(desk: Desk, webhook: Loopback) -> None:
    """Whoever cancels does not wait for a webhook that hangs."""
    asked = asyncio.Event()

    async def hang(writer: asyncio.StreamWriter) -> None:
        asked.set()
        await writer.wait_closed()

    webhook.answers[SECRET] = hang
    sending = asyncio.create_task(desk.call(send_alert, title="t", text="x"))
    await asked.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending

"""The tool that tells people: a message to the operator's webhook."""

import asyncio
from html import escape
from typing import Annotated, Literal

import httpx
from pydantic import Field, SecretStr

from perdure.errors import OutcomeUnknown, ToolError
from perdure.settings import Environment
from perdure.tools.tool import ToolContext, tool

SECONDS = 20.0
"""For the whole; half of it for a connection."""

_NOT_SENT = (
    httpx.InvalidURL,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.ConnectError,
    httpx.ConnectTimeout,
)

Title = Annotated[str, Field(min_length=1, max_length=200)]
Message = Annotated[str, Field(min_length=1, max_length=4000)]


class AlertSettings(Environment):
    """Where alerts go; read anew for each call."""

    alert_webhook: SecretStr | None = None
    """Takes JSON as Slack's incoming webhooks do; whoever knows the address can write there."""


@tool(replay="unsafe")
async def send_alert(
    context: ToolContext,
    title: Title,
    text: Message,
    severity: Literal["info", "warning", "critical"] = "info",
) -> str:
    """Send a message to the people who watch over this agent."""
    webhook = AlertSettings.load().alert_webhook
    if webhook is None:
        raise ToolError("PERDURE_ALERT_WEBHOOK is not set; an operator names a webhook there.")
    told = {
        # As Slack shows it, where <…> would be a link or call everybody.
        "text": escape(f"{severity.upper()}: {title}\n{text}", quote=False),
        "title": title,
        "severity": severity,
        "run": context.run,
        "key": context.key,
    }
    status = await _send(webhook.get_secret_value(), told)
    if httpx.codes.is_server_error(status):
        raise _unknown(f"the webhook answered {status}")
    if not httpx.codes.is_success(status):
        raise ToolError(f"The webhook in PERDURE_ALERT_WEBHOOK refused the alert with {status}.")
    return "The alert was sent."


async def _send(webhook: str, told: dict[str, str]) -> int:
    """The status of the reply. The address, which is a secret, is in no error and no log."""
    try:
        # Not through a client, which would log the address.
        async with asyncio.timeout(SECONDS), httpx.AsyncHTTPTransport() as transport:
            response = await transport.handle_async_request(_request(webhook, told))
            await response.aclose()
    except _NOT_SENT as error:
        raise ToolError(
            "The webhook in PERDURE_ALERT_WEBHOOK cannot be reached"
            f" ({type(error).__name__}); nothing was sent."
        ) from None
    except (httpx.TransportError, TimeoutError) as error:
        raise _unknown(f"the connection broke ({type(error).__name__})") from None
    return response.status_code


def _request(webhook: str, told: dict[str, str]) -> httpx.Request:
    steps = httpx.Timeout(SECONDS / 2)
    return httpx.Request(
        "POST",
        webhook,
        json=told,
        headers={"idempotency-key": told["key"]},
        extensions={"timeout": steps.as_dict()},
    )


def _unknown(cause: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"The outcome is unknown: the alert was on its way when {cause}. It was not repeated; it"
        " may have arrived."
    )


TOOLS = (send_alert,)

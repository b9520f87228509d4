"""HTTP/1.1 as a model server needs it: requests off a connection, replies as bytes."""

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, NamedTuple

from perdure.testing.replies import Completion, Status
from perdure.testing.script import ChatRequest, key_of

_CHARACTERS_PER_TOKEN = 4


class HttpRequest(NamedTuple):
    """A whole request; the names of `headers` are in lower case."""

    target: str
    """Method and path, `GET /v1/models`."""
    headers: dict[str, str]
    body: bytes


class Connection(asyncio.Protocol):
    """One client's connection, kept alive: requests one after the other."""

    transport: asyncio.Transport

    def __init__(
        self,
        handle: Callable[["Connection", HttpRequest], None],
        every: set["Connection"],
    ) -> None:
        self._handle = handle
        self._every = every
        self._received = bytearray()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # what a TCP server passes
        self.transport = transport
        self._every.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._every.discard(self)
        self.lost.set()

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        first, *lines = self._received[:end].decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        whole = end + 4 + int(headers.get("content-length", 0))
        if len(self._received) < whole:
            return
        body = bytes(self._received[end + 4 : whole])
        del self._received[:whole]
        self._handle(self, HttpRequest(first.rpartition(" ")[0], headers, body))


def http_reply(body: bytes, status: int = 200, headers: str = "") -> bytes:
    """A JSON reply on a connection that stays open; `headers` are whole lines."""
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
    )
    return head.encode() + body


def failure(reply: Status) -> bytes:
    """An HTTP reply with OpenAI's error object."""
    error = {
        "message": reply.message,
        "type": "scripted",
        "param": None,
        "code": reply.code,
    }
    wait = "" if reply.retry_after is None else f"retry-after: {reply.retry_after:g}\r\n"
    return http_reply(json.dumps({"error": error}).encode(), reply.status, wait)


def model_list(names: tuple[str, ...]) -> bytes:
    """The reply of `GET /v1/models`."""
    models = [{"id": name, "object": "model", "created": 0, "owned_by": "test"} for name in names]
    return http_reply(json.dumps({"object": "list", "data": models}).encode())


def completion(reply: Completion, request: ChatRequest) -> bytes:
    """The JSON of a chat completion. The same request gets the same bytes."""
    key = key_of(request)
    choice = {
        "index": 0,
        "message": _message(reply, f"call_{key}"),
        "finish_reason": reply.finish_reason,
        "logprobs": None,
    }
    document = {
        "id": f"chatcmpl-{key}",
        "object": "chat.completion",
        "created": 0,
        "model": request.body.get("model", ""),
        "choices": [choice],
        "usage": _usage(reply, request),
    }
    return json.dumps(document).encode()


def _message(reply: Completion, call_id: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.calls:
        message["tool_calls"] = [
            {
                "id": f"{call_id}_{number}",
                "type": "function",
                "function": {"name": call.tool, "arguments": call.arguments},
            }
            for number, call in enumerate(reply.calls)
        ]
    return message


def _usage(reply: Completion, request: ChatRequest) -> dict[str, int]:
    written = len(reply.text or "") + sum(len(call.arguments) for call in reply.calls)
    read = reply.input_tokens
    wrote = reply.output_tokens
    read = request.size // _CHARACTERS_PER_TOKEN if read is None else read
    wrote = written // _CHARACTERS_PER_TOKEN + 1 if wrote is None else wrote
    return {
        "prompt_tokens": read,
        "completion_tokens": wrote,
        "total_tokens": read + wrote,
    }

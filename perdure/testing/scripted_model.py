"""A model server that speaks the OpenAI chat-completions API and follows a script.

In a test: `async with ScriptedModel([say("Hello.")]) as model:`, with `model.url` as the base
URL. As a process of its own: `python -m perdure.testing.scripted_model --script FILE.json`.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Self

from perdure.testing.replies import (
    Completion,
    Drop,
    HalfJson,
    Hang,
    Reply,
    Slow,
    Status,
    status,
)
from perdure.testing.script import (
    ChatRequest,
    Script,
    find_place,
    load_script,
    reply_to,
)
from perdure.testing.wire import (
    Connection,
    HttpRequest,
    completion,
    failure,
    http_reply,
    model_list,
)

Hook = Callable[[ChatRequest], Awaitable[None]]


class ScriptedModel:
    """A server on 127.0.0.1 for as long as its `async with` block lasts."""

    def __init__(
        self,
        script: Script = (),
        *,
        models: tuple[str, ...] = ("scripted",),
        keep_bodies: bool = True,
        on_request: Hook | None = None,
        on_reply: Hook | None = None,
    ) -> None:
        """`on_request` is awaited before a reply is sent, `on_reply` after it was sent."""
        self.models = models
        self.keep_bodies = keep_bodies
        self.on_request = on_request
        self.on_reply = on_reply
        self.requests: list[ChatRequest] = []
        self._script = script
        self._attempts: Counter[tuple[str, int]] = Counter()
        self._connections: set[Connection] = set()
        self._answers: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The base URL, `http://127.0.0.1:PORT/v1`."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    @property
    def connected(self) -> int:
        """How many clients' connections are open."""
        return len(self._connections)

    def follow(self, script: Script) -> None:
        """Follow another script from now on; its attempts are counted anew."""
        self._script = script
        self._attempts.clear()

    def served(self, task_contains: str = "", place: int | None = None) -> int:
        """How many complete replies were sent: what a provider would have charged for."""
        return sum(
            request.served and task_contains in request.task and place in (None, request.place)
            for request in self.requests
        )

    async def start(self, port: int = 0) -> None:
        """Listen on `port`, or on a free one."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._route, self._connections), "127.0.0.1", port
        )

    async def stop(self) -> None:
        """Close every connection; replies under way are not sent."""
        self._server.close()
        for connection in list(self._connections):
            connection.transport.abort()
        for answer in self._answers:
            answer.cancel()
        await self._server.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _route(self, connection: Connection, request: HttpRequest) -> None:
        send = connection.transport.write
        match request.target:
            case "POST /v1/chat/completions":
                self._receive(connection, request)
            case "GET /v1/models":
                send(model_list(self.models))
            case "GET /requests":
                send(self._records(bodies=False))
            case "GET /requests?bodies=1":
                send(self._records(bodies=True))
            case target:
                send(failure(status(404, f"There is no {target} here.")))

    def _receive(self, connection: Connection, received: HttpRequest) -> None:
        try:
            request = self._record(received)
        except (ValueError, KeyError, TypeError) as error:
            problem = status(400, f"This is not a chat-completions request: {error!r}")
            connection.transport.write(failure(problem))
            return
        answer = asyncio.get_running_loop().create_task(self._answer(connection, request))
        self._answers.add(answer)
        answer.add_done_callback(self._answers.discard)

    def _record(self, received: HttpRequest) -> ChatRequest:
        body = json.loads(received.body)
        task, place = find_place(body["messages"], self._script)
        request = ChatRequest(
            task=task,
            place=place,
            attempt=self._attempts[task, place],
            body=body,
            headers=received.headers,
            size=len(received.body),
        )
        self._attempts[task, place] += 1
        self.requests.append(request)
        return request

    async def _answer(self, connection: Connection, request: ChatRequest) -> None:
        try:
            reply = reply_to(request, self._script)
            if self.on_request:
                await self.on_request(request)
        except Exception as error:  # noqa: BLE001 - the test's own code; unanswered it would hang
            reply = status(400, f"The script failed: {error!r}")
        await _send(connection, request, reply)
        if self.on_reply:
            await self.on_reply(request)
        if not self.keep_bodies:
            request.body = {}

    def _records(self, *, bodies: bool) -> bytes:
        kept = self.requests if bodies else [replace(each, body={}) for each in self.requests]
        return http_reply(json.dumps([asdict(each) for each in kept]).encode())


async def _send(connection: Connection, request: ChatRequest, reply: Reply) -> None:
    transport = connection.transport
    match reply:
        case Completion():
            request.served = not transport.is_closing()
            transport.write(http_reply(completion(reply, request)))
        case Status():
            transport.write(failure(reply))
        case Drop():
            if reply.midway:
                transport.write(http_reply(b'{"id": "chatcmpl-')[:-8])
            transport.close()
        case HalfJson():
            transport.write(http_reply(b'{"id": "chatcmpl-'))
        case Hang():
            await connection.lost.wait()
        case Slow():
            await asyncio.sleep(reply.seconds)
            await _send(connection, request, reply.reply)


async def serve(script: Script, port: int, *, keep_bodies: bool) -> None:
    """Serve until SIGTERM or the end of standard input, so that no test leaves it behind."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, over.set)
    loop.add_reader(sys.stdin, _at_end_of_input, over)
    model = ScriptedModel(script, keep_bodies=keep_bodies)
    await model.start(port)
    print(model.url, flush=True)
    await over.wait()
    await model.stop()


def _at_end_of_input(over: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 1024):
        over.set()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--script", type=Path, required=True, help="JSON of dump_script")
    parser.add_argument("--port", type=int, default=0, help="0 for a free one")
    parser.add_argument("--keep-bodies", action="store_true", help="for GET /requests?bodies=1")
    options = parser.parse_args()
    script = load_script(options.script.read_bytes())
    asyncio.run(serve(script, options.port, keep_bodies=options.keep_bodies))


if __name__ == "__main__":
    main()

"""Serve the small local model on 127.0.0.1: python -m perdure.model.local.server --port 0.

Prints one line of JSON with its `url` when it is ready, and ends when its standard input does: the
system closes that pipe however the parent dies. A process of its own, because a crash of native
code must not take a worker along.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from pydantic import ValidationError

from perdure.errors import PerdureError, UnknownModel
from perdure.model.local.chat import (
    ChatRequest,
    GrammarRefused,
    completion_of,
    prompt_of,
)
from perdure.model.local.gguf import find_gguf, require_engine

CONTEXT_WINDOW = 4096
"""Tokens of one request and its reply."""
SLOTS = 2
"""Requests that are worked on at once; others wait."""
MOST_THREADS = 4

Engine = Callable[[dict[str, Any]], dict[str, Any]]
"""Takes the body of a llama.cpp chat completion request, returns its completion or its error."""


def main() -> None:
    arguments = _parse()
    try:
        gguf = find_gguf(arguments.gguf)
        server = ChatServer(arguments.port, name=gguf.stem, engine=load_engine(gguf))
    except PerdureError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"Port {arguments.port} cannot be used ({error}). Choose another, or 0 for any.")
    print(json.dumps({"url": server.url}), flush=True)
    Thread(target=_end_with_standard_input, daemon=True).start()
    server.serve_forever()


def load_engine(gguf: Path) -> Engine:
    """The model in `gguf`, loaded and warm: about a second."""
    require_engine()
    # OpenMP threads that spin while they wait slow the model several times on a busy machine.
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    try:
        import xllamacpp
    except ImportError as error:
        raise UnknownModel(
            f"The engine of the local model cannot be loaded ({error}). If libgomp is named, "
            "install it: `apt-get install libgomp1`, or your system's package of GCC OpenMP."
        ) from error
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(gguf)
    parameters.model_alias = {gguf.stem}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = CONTEXT_WINDOW * SLOTS
    parameters.n_parallel = SLOTS
    parameters.cpuparams.n_threads = min(MOST_THREADS, os.cpu_count() or 1)
    parameters.cache_ram_mib = 128
    parameters.ui = False
    parameters.offline = True
    parameters.fit_params = False
    parameters.verbosity = 1
    engine: Engine = xllamacpp.Server(parameters).handle_chat_completions
    return engine


class ChatServer(ThreadingHTTPServer):
    """An OpenAI-compatible API around one engine."""

    daemon_threads = True

    def __init__(self, port: int, *, name: str, engine: Engine) -> None:
        super().__init__(("127.0.0.1", port), ChatHandler)
        self.name = name
        self.engine = engine

    @property
    def url(self) -> str:
        """What a client takes as its base URL."""
        return f"http://127.0.0.1:{self.server_port}/v1"


class ChatHandler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    server: ChatServer

    def do_GET(self) -> None:
        if self.path == "/health":
            self._send(HTTPStatus.OK, {"status": "ok"})
        elif self.path == "/v1/models":
            model = {
                "id": self.server.name,
                "object": "model",
                "created": 0,
                "owned_by": "local",
            }
            self._send(HTTPStatus.OK, {"object": "list", "data": [model]})
        else:
            self._not_found()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/v1/chat/completions":
            self._send(*chat(body, self.server.engine))
        else:
            self._not_found()

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: standard error is for what goes wrong."""

    def _not_found(self) -> None:
        known = "POST /v1/chat/completions, GET /v1/models and GET /health"
        message = f"{self.path} is not served here. There are {known}."
        self._send(HTTPStatus.NOT_FOUND, _error(message, code="not_found"))

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def chat(body: bytes, engine: Engine) -> tuple[int, dict[str, Any]]:
    """Status and answer of one chat completion request."""
    try:
        prompt = prompt_of(ChatRequest.model_validate_json(body))
    except (ValidationError, ValueError) as error:
        return HTTPStatus.BAD_REQUEST, _error(f"The request cannot be carried out: {error}")
    completion = engine(prompt.request)
    if "choices" not in completion:
        return _failure(completion.get("error", completion))
    try:
        return HTTPStatus.OK, completion_of(prompt, completion)
    except GrammarRefused:
        message = "The engine cannot enforce the schema of these tools. Make their types simpler."
        return HTTPStatus.BAD_REQUEST, _error(message)


def _failure(error: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """The engine's `error`, in the words that OpenAI's API has for it."""
    status = int(error.get("code", HTTPStatus.INTERNAL_SERVER_ERROR))
    too_long = error.get("type") == "exceed_context_size_error"
    code = "context_length_exceeded" if too_long else error.get("type")
    return status, _error(str(error.get("message", error)), code=code)


def _error(message: str, *, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "code": code}}


def _end_with_standard_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)  # at once: native threads may be in the middle of a reply that nobody awaits


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve the small local model on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--gguf", help="model file; default: the one in the extra `local`")
    return parser.parse_args()


if __name__ == "__main__":
    main()

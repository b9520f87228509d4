"""The HTTP client of a connection: what fails ends its own request, and not everybody's."""

import json
from typing import Any

import httpx2
from mcp.types import INVALID_REQUEST

from perdure.tools.mcp.config import Endpoint

UNREACHED = 1_404_001
"""Code of an error of our own, as the two below, which no server uses: it heard nothing."""
GONE = 1_404_002
"""The server does not know the session any more, and did nothing."""
LOST = 1_404_003
"""The way to the server broke; it may have acted."""

_CONNECT_SECONDS = 10.0
_AFTER_TIMEOUT = 30.0
"""Seconds that an answer is waited for longer than by the one who asked."""
_SESSION = "mcp-session-id"
_NOT_FOUND = 404
_FIRST_ERROR = 400
_FIRST_FAULT = 500


def courier(server: Endpoint) -> httpx2.AsyncClient:
    """A client with the server's headers."""
    wait = server.timeout + _AFTER_TIMEOUT
    return _Courier(
        headers=server.headers,
        timeout=httpx2.Timeout(wait, connect=_CONNECT_SECONDS),
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
    )


class _Courier(httpx2.AsyncClient):
    """Answers for a server that does not.

    The transport lets an exception end all requests of the connection, and of a status it tells
    nothing; an error in an answer's body goes to the one who asked.
    """

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        try:
            response = await super().send(request, **options)
            if response.status_code < _FIRST_ERROR:
                return response
            await response.aread()
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
            return _answer(request, UNREACHED, f"it cannot be reached ({_words(error)})")
        except httpx2.TransportError as error:
            return _answer(request, LOST, f"the connection broke ({_words(error)})")
        return _explained(request, response)


def _explained(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    """`response`, or in its place one that says in the protocol's own way what it means."""
    status = f"it answered {response.status_code} {response.reason_phrase}".rstrip()
    if response.status_code == _NOT_FOUND and _SESSION in request.headers:
        return _answer(request, GONE, status)
    if _is_protocol_error(response):
        return response
    code = LOST if response.status_code >= _FIRST_FAULT else INVALID_REQUEST
    return _answer(request, code, status)


def _is_protocol_error(response: httpx2.Response) -> bool:
    try:
        content = json.loads(response.content)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and "jsonrpc" in content and "error" in content


def _answer(request: httpx2.Request, code: int, message: str) -> httpx2.Response:
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
    return httpx2.Response(502, json=error, request=request)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__

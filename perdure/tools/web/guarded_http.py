"""HTTP for a model: GET from guarded addresses only, with bounds on bytes, redirects and time."""

import asyncio
import ssl
import zlib
from contextlib import aclosing, suppress

import httpx

from perdure.errors import ToolError
from perdure.tools.web.addresses import Guard, plain_host
from perdure.tools.web.documents import Document

LARGEST = 5_000_000
"""Bytes of a body, decompressed."""
SECONDS = 30.0
"""For everything: look-ups, redirects and the body."""
REDIRECTS = 5

_STEP = 10.0
"""Seconds for a connection to be made, or for the next bytes to come."""
_TRIED = 3
"""So many of a host's addresses are tried."""
_HIGHEST_PORT = 65_535
# Gzip alone, which can be decompressed in bounded pieces.
_HEADERS = {
    "user-agent": "Mozilla/5.0 (compatible; Perdure)",
    "accept": "text/html,application/xhtml+xml,application/json,text/*;q=0.9,*/*;q=0.5",
    "accept-encoding": "gzip",
}


async def get(
    url: str, guard: Guard, *, limit: int = LARGEST, seconds: float = SECONDS
) -> Document:
    """What is at `url`, or where it redirects to.

    Raises:
        ToolError: it may not be fetched, or cannot be, or is larger than `limit` bytes.
    """
    transport = GuardedTransport(guard)
    client = httpx.AsyncClient(
        transport=transport, headers=_HEADERS, timeout=_STEP, trust_env=False
    )
    try:
        async with asyncio.timeout(seconds), client:
            return await _taken(await _followed(client, url), limit)
    except TimeoutError:
        raise ToolError(
            f"{_named(url)} did not arrive within {seconds:g} seconds; try again later, or another"
            " address."
        ) from None
    except (httpx.HTTPError, httpx.InvalidURL, zlib.error) as error:
        cause = str(error) or type(error).__name__
        raise ToolError(f"{_named(url)} cannot be fetched: {cause}.") from None


class GuardedTransport(httpx.AsyncBaseTransport):
    """Sends each request, also that of a redirect, to an address that the guard has checked."""

    def __init__(self, guard: Guard, tls: ssl.SSLContext | bool = True) -> None:
        self._guard = guard
        # No connection is kept: they are told apart by address alone, which hosts may share.
        single = httpx.Limits(max_keepalive_connections=0)
        self._inner = httpx.AsyncHTTPTransport(verify=tls, trust_env=False, limits=single)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        _check(request.url)
        addresses = await self._guard.addresses(request.url.raw_host.decode("ascii"))
        *first, last = addresses[:_TRIED]
        for address in first:
            with suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await self._inner.handle_async_request(_at(address, request))
        return await self._inner.handle_async_request(_at(last, request))

    async def aclose(self) -> None:
        await self._inner.aclose()


def _check(url: httpx.URL) -> None:
    if url.scheme not in {"http", "https"} or not url.host:
        raise ToolError(
            f"{_named(str(url))} is not the address of a web page; it begins with http:// or"
            " https:// and names a host."
        )
    if url.userinfo:
        raise ToolError(
            f"The address of {url.host!r} carries a user's name before an '@'; give it without."
        )
    if url.port is not None and not 0 < url.port <= _HIGHEST_PORT:
        raise ToolError(f"{_named(str(url))} names port {url.port}; the highest is 65535.")


def _at(address: str, request: httpx.Request) -> httpx.Request:
    """The request, to this address; it still names the host, to the server and for TLS."""
    name = plain_host(request.url.raw_host.decode("ascii"))
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions=request.extensions | {"sni_hostname": name},
    )


async def _followed(client: httpx.AsyncClient, url: str) -> httpx.Response:
    """The reply at the end of the redirects, of which no body has been read."""
    request = client.build_request("GET", url)
    for _ in range(REDIRECTS + 1):
        response = await client.send(request, stream=True)
        if response.next_request is None:
            return response
        await response.aclose()
        request = response.next_request
    raise ToolError(f"{_named(url)} redirects more than {REDIRECTS} times; it may go in a circle.")


async def _taken(response: httpx.Response, limit: int) -> Document:
    url = str(response.url)
    async with aclosing(response):
        if not response.is_success:
            code, phrase = response.status_code, response.reason_phrase
            raise ToolError(f"{_named(url)} answered {code} {phrase}.")
        data = await _body(response, limit)
    type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return Document(name=url, data=data, type=type, charset=response.charset_encoding)


async def _body(response: httpx.Response, limit: int) -> bytes:
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in {"identity", "gzip", "x-gzip", "deflate"}:
        raise ToolError(
            f"{_named(str(response.url))} came compressed as {coding[:40]!r}, which was not asked"
            " for."
        )
    inflate = None if coding == "identity" else zlib.decompressobj(zlib.MAX_WBITS | 32)
    data = bytearray()
    async for piece in response.aiter_raw():
        data += inflate.decompress(piece, limit + 1 - len(data)) if inflate else piece
        if len(data) > limit:
            raise ToolError(
                f"{_named(str(response.url))} is larger than {limit:,} bytes, the most that is"
                " fetched; look for a smaller page."
            )
    if inflate and not inflate.eof:
        raise ToolError(f"{_named(str(response.url))} ended in the middle; try again.")
    return bytes(data)


def _named(url: str) -> str:
    return repr(url if len(url) <= 200 else f"{url[:200]}…")  # noqa: PLR2004 - enough to know it by

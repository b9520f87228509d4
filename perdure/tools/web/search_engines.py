"""Search engines: each takes a query and gives what it found."""

import asyncio
from typing import Any, NamedTuple

import httpx
from pydantic import BaseModel, ValidationError

from perdure.errors import ToolError
from perdure.tools.web.addresses import Guard, Permitted, plain_host
from perdure.tools.web.guarded_http import get

_SECONDS = 10


class Hit(NamedTuple):
    """One page that was found."""

    title: str
    url: str
    snippet: str


async def ask_ddgs(query: str, count: int) -> list[Hit]:
    """Ask the public search engines that the package `ddgs` knows."""
    return await asyncio.to_thread(_ask_ddgs, query, count)


def _ask_ddgs(query: str, count: int) -> list[Hit]:
    from ddgs import DDGS  # noqa: PLC0415 - slow to load, and of use to few agents
    from ddgs.exceptions import DDGSException  # noqa: PLC0415

    try:
        found: list[dict[str, Any]] = DDGS(timeout=_SECONDS).text(query, max_results=count)
    except DDGSException as error:
        if "No results" in str(error):
            return []
        raise ToolError(
            f"The search engines cannot be asked: {str(error)[:200]}. Try again later; an operator"
            " can name another one in PERDURE_SEARCH."
        ) from error
    return [Hit(each["title"], each["href"], each["body"]) for each in found]


class _Result(BaseModel):
    url: str
    title: str = ""
    content: str | None = None


class _Results(BaseModel):
    results: list[_Result]


async def ask_searxng(instance: str | None, query: str, count: int) -> list[Hit]:
    """Ask the SearXNG `instance`; it is the operator's choice and may be private."""
    if instance is None:
        raise ToolError(
            "PERDURE_SEARCH_URL is not set; an operator names a SearXNG instance there."
        )
    try:
        url = _query(instance, query)
        own = Guard(Permitted(hosts=frozenset({plain_host(url.raw_host.decode("ascii"))})))
        reply = await get(str(url), own, seconds=_SECONDS)
        found = _Results.model_validate_json(reply.data).results[:count]
    except (ToolError, ValidationError, httpx.InvalidURL) as error:
        raise ToolError(
            f"The search engine in PERDURE_SEARCH_URL gives no results: {_cause(error)} An operator"
            " can look whether its settings name json under search.formats."
        ) from None
    return [Hit(each.title, each.url, each.content or "") for each in found]


def _query(instance: str, query: str) -> httpx.URL:
    url = httpx.URL(instance)
    path = url.path.rstrip("/").removesuffix("/search")
    return url.copy_with(path=f"{path}/search", params={"q": query, "format": "json"})


def _cause(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "what it answered is not SearXNG's JSON."
    return str(error)

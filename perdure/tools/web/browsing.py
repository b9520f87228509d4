"""The web tools: a page as text, and a search for pages."""

from typing import Annotated

from pydantic import Field

from perdure.tools.quotation import PAGE, Limit, Offset, part, quote, visible
from perdure.tools.tool import tool
from perdure.tools.web.addresses import Guard
from perdure.tools.web.documents import read
from perdure.tools.web.guarded_http import get
from perdure.tools.web.search_engines import Hit, ask_ddgs, ask_searxng
from perdure.tools.web.settings import WebSettings

_LONGEST = 400
"""Characters of a title, an address or a snippet."""

Query = Annotated[str, Field(min_length=1, max_length=_LONGEST)]
Count = Annotated[int, Field(ge=1, le=25)]


@tool(replay="safe")
async def fetch_url(url: str, offset: Offset = 0, limit: Limit = PAGE) -> str:
    """Read the text of a web page, a text file, JSON or a PDF on the web.

    Args:
        offset: Characters to pass over.
        limit: Number of characters.
    """
    document = await get(url, Guard(WebSettings.load().fetch_allow))
    return quote(document.name, part(await read(document), offset, limit))


@tool(replay="safe")
async def web_search(query: Query, max_results: Count = 8) -> str:
    """Search the web; fetch_url reads what is found."""
    settings = WebSettings.load()
    if settings.search == "searxng":
        hits = await ask_searxng(settings.search_url, query, max_results)
    else:
        hits = await ask_ddgs(query, max_results)
    if not hits:
        return "[Nothing was found; use other words.]"
    return quote(f"a search for {query!r}", "\n\n".join(map(_told, hits)))


def _told(hit: Hit) -> str:
    return "\n".join(_line(each) for each in hit if each.strip())


def _line(text: str) -> str:
    line = " ".join(visible(text).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


TOOLS = (fetch_url, web_search)

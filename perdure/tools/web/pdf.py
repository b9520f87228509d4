"""The tool that reads PDF files, of the workspace or of the web."""

import re
from dataclasses import replace

from perdure.errors import ToolError
from perdure.tools.quotation import PAGE, Limit, Offset, part, quote
from perdure.tools.tool import ToolContext, tool
from perdure.tools.web.addresses import Guard
from perdure.tools.web.documents import PAGES, Document, kind_of, read
from perdure.tools.web.guarded_http import get
from perdure.tools.web.settings import WebSettings

LARGEST = 20_000_000
"""Bytes of a file."""


@tool(replay="safe")
async def read_pdf(
    context: ToolContext,
    source: str,
    pages: str = f"1-{PAGES}",
    offset: Offset = 0,
    limit: Limit = PAGE,
) -> str:
    """Read the text of a PDF file.

    Args:
        source: Path in the workspace, or web address.
        pages: Such as 3 or 1-20.
        offset: Characters to pass over.
        limit: Number of characters.
    """
    first, last = _range(pages)
    found = await _found(context, source)
    document = replace(found, type="")  # some servers do not know what they have
    if kind_of(document) != "pdf":
        raise ToolError(f"{source!r} is no PDF file; read_file or fetch_url may show what it is.")
    text = await read(document, first, last)
    return quote(document.name, part(text, offset, limit))


def _range(pages: str) -> tuple[int, int]:
    found = re.fullmatch(r"\s*(\d{1,6})\s*(?:-\s*(\d{1,6})\s*)?", pages)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last:
        raise ToolError(f"Pages {pages!r} are none; give a number from 1, or a range such as 1-20.")
    return first, last


async def _found(context: ToolContext, source: str) -> Document:
    if source.lower().startswith(("http://", "https://")):
        return await get(source, Guard(WebSettings.load().fetch_allow), limit=LARGEST)
    where = {"path": source, "limit": LARGEST + 1}
    _, data = await context.sandbox.operate("read_bytes", where)
    if len(data) > LARGEST:
        raise ToolError(f"{source!r} is larger than {LARGEST:,} bytes, the most that is read.")
    return Document(source, data)


TOOLS = (read_pdf,)

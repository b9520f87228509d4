"""Documents from outside, read as text by a process of their own that can do no harm."""

import asyncio
import json
import re
import sys
from dataclasses import dataclass

from perdure.errors import ToolError
from perdure.tools.quotation import visible

SECONDS = 30
"""For reading one document."""
PAGES = 20
"""So many pages of a PDF are read unless a call says which."""

_PROGRAM = "perdure.tools.web.document_reader"
_SNIFFED = 1024
_HTML = {"text/html", "application/xhtml+xml"}
_TEXT = re.compile(r"text/.*|.*\+xml|application/(xml|yaml|x-yaml|toml|javascript|sql|x-sh)")
_UNTOLD = {"", "application/octet-stream", "binary/octet-stream"}


@dataclass(frozen=True, slots=True)
class Document:
    """What was found at an address, or in a file."""

    name: str
    """Its address or path."""
    data: bytes
    type: str = ""
    """Media type; empty if nobody said."""
    charset: str | None = None


async def read(
    document: Document, first: int = 1, last: int = PAGES, *, seconds: int = SECONDS
) -> str:
    """The text of `document`; of a PDF, that of the pages from `first` to `last`.

    Raises:
        ToolError: it holds no text, is damaged, or takes too much memory or time.
    """
    order = {
        "kind": kind_of(document),
        "charset": document.charset,
        "url": document.name,
        "first": first,
        "last": last,
        "seconds": seconds,
    }
    try:
        async with asyncio.timeout(seconds):
            answer = await _answer(json.dumps(order), document.data)
    except TimeoutError:
        answer = {"problem": f"it takes more than {seconds} seconds; read less of it"}
    if problem := answer.get("problem"):
        raise ToolError(f"{document.name!r} cannot be read: {problem}.")
    return visible(answer["text"])


def kind_of(document: Document) -> str:
    """How to read `document`: as pdf, html, json or text."""
    type = document.type
    if type in _UNTOLD:
        type = _guessed(document.data[:_SNIFFED])
    if type == "application/pdf":
        return "pdf"
    if type in _HTML:
        return "html"
    if type == "application/json" or type.endswith("+json"):
        return "json"
    if _TEXT.fullmatch(type):
        return "text"
    raise ToolError(
        f"{document.name!r} is of type {type[:80]!r}, {len(document.data):,} bytes, and holds no"
        " text to show."
    )


def _guessed(beginning: bytes) -> str:
    if b"%PDF-" in beginning:
        return "application/pdf"
    if re.match(rb"\s*<(!doctype html|html|head|body)\b", beginning, re.IGNORECASE):
        return "text/html"
    return "application/octet-stream" if b"\0" in beginning else "text/plain"


async def _answer(order: str, data: bytes) -> dict[str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-m", _PROGRAM, order),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd="/",
        env={},  # it needs nothing, and the worker's holds secrets
    )
    try:
        printed, _ = await process.communicate(data)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        return {"problem": "the program that reads it broke down; it is damaged or too large"}
    answer: dict[str, str] = json.loads(printed)
    return answer

"""An MCP server for the tests: `python playing.py [--slow SECONDS] [--port PORT [--old]]`."""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import anyio
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.types import (
    AudioContent,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
)
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

server = MCPServer("playing")
READS = ToolAnnotations(read_only_hint=True)


@server.tool(annotations=READS)
def echo(text: str) -> str:
    """Say it again."""
    return text


@server.tool(annotations=ToolAnnotations(idempotent_hint=True))
def put(path: str, text: str) -> str:
    """Write a file."""
    Path(path).write_text(text)
    return "written"


@server.tool()
async def add(path: str, seconds: float = 0) -> str:
    """Add a line to a file, then wait."""
    async with await anyio.open_file(path, "a") as file:
        await file.write("added\n")
    await anyio.sleep(seconds)
    return "added"


@server.tool(annotations=READS)
async def sleep(seconds: float) -> str:
    """Wait."""
    await anyio.sleep(seconds)
    return "slept"


@server.tool(annotations=READS)
def pid() -> str:
    """Say who it is."""
    return str(os.getpid())


@server.tool(annotations=READS)
def environment() -> dict[str, str]:
    """What it sees."""
    return dict(os.environ)


@server.tool()
def fail() -> str:
    """Fail."""
    raise ValueError("the cupboard is bare")


@server.tool(annotations=READS)
def complain(times: int) -> str:
    """Speak on standard error."""
    for _ in range(times):
        sys.stderr.write("x" * 1023 + "\n")
    sys.stderr.flush()
    return "said"


@server.tool()
def parts() -> Annotated[CallToolResult, dict[str, Any]]:
    """A result of many kinds."""
    note = TextResourceContents(uri="memo://1", mime_type="text/plain", text="a memo")
    return CallToolResult(
        content=[
            TextContent(text="first"),
            ImageContent(data="QUJD" * 4000, mime_type="image/png"),
            AudioContent(data="QUJD", mime_type="audio/wav"),
            ResourceLink(uri="file:///a.csv", name="a", mime_type="text/csv", size=2000),
            EmbeddedResource(resource=note),
        ],
        structured_content={},
    )


@server.tool()
def numbers() -> CallToolResult:
    """A result without text."""
    return CallToolResult(content=[], structured_content={"numbers": [1, 2]})


@server.tool(name="odd name/with.dots and a great many letters, more than any model could take")
def odd() -> str:
    """A name that models do not take."""
    return "odd"


@server.tool()
async def grow(context: Context[Any, Any]) -> str:
    """Have one more tool."""
    server.add_tool(lambda: "more", name="grown", description="More.")
    await context.notify_tools_changed()
    await context.session.send_tool_list_changed()
    return "grown"


def without_news(app: ASGIApp) -> ASGIApp:
    """The server as it would be without the newer protocol: it answers in sessions."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        versions = [value for name, value in scope.get("headers", []) if name.endswith(b"version")]
        if any(version > b"2026" for version in versions):
            refusal = JSONResponse({"error": "Unsupported protocol version"}, status_code=400)
            await refusal(scope, receive, send)
        else:
            await app(scope, receive, send)

    return answer


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--slow", type=float, default=0)
    options.add_argument("--port", type=int)
    options.add_argument("--old", action="store_true")
    chosen = options.parse_args()
    time.sleep(chosen.slow)
    if chosen.port is None:
        server.run()
        return
    app = server.streamable_http_app()
    served = without_news(app) if chosen.old else app
    uvicorn.run(served, host="127.0.0.1", port=chosen.port, log_level="warning")


if __name__ == "__main__":
    main()

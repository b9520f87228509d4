"""The result of a call to an MCP server, as text for the model."""

from base64 import b64decode
from binascii import Error as NotBase64

from mcp.types import (
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ResourceLink,
    TextContent,
)

from perdure.errors import ToolError
from perdure.tools.tool import as_text

_KILOBYTE = 1000


def told(result: CallToolResult) -> str:
    """All the text of a result, with a note of each part that is no text.

    Raises:
        ToolError: with that text, when the server calls the result an error.
    """
    text = _text(result)
    if result.is_error:
        raise ToolError(text or "The server says that the call failed, and not why.")
    return text or as_text(None)


def _text(result: CallToolResult) -> str:
    if not result.content and result.structured_content is not None:
        return as_text(result.structured_content)
    return as_text("\n".join(_part(block) for block in result.content))


def _part(block: ContentBlock) -> str:
    if isinstance(block, TextContent):
        return block.text
    if isinstance(block, ResourceLink):
        size = None if block.size is None else _size(block.size)
        return _note("resource", block.uri, block.mime_type, size)
    if isinstance(block, EmbeddedResource):
        resource = block.resource
        if isinstance(resource, BlobResourceContents):
            return _note("resource", resource.uri, resource.mime_type, _length(resource.blob))
        return f"{_note('resource', resource.uri, resource.mime_type)}\n{resource.text}"
    return _note(block.mime_type, _length(block.data))


def _note(*facts: str | None) -> str:
    return f"[{', '.join(fact for fact in facts if fact)}]"


def _length(data: str) -> str:
    try:
        return _size(len(b64decode(data)))
    except (NotBase64, ValueError):
        return "unreadable"


def _size(size: int) -> str:
    if size < _KILOBYTE:
        return f"{size} bytes"
    return f"{round(size / _KILOBYTE):,} kB"

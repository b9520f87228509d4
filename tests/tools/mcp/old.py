"""An MCP server of the older protocol, written by hand: it refuses what it does not know."""

import json
import sys
from typing import Any

TOOLS: list[dict[str, Any]] = [
    {"name": "grow", "description": "Have one more tool.", "inputSchema": {"type": "object"}},
    {"name": "broken", "inputSchema": {"type": "object", "properties": {"a": {"type": "strnig"}}}},
    {
        "name": "lost",
        "inputSchema": {"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}},
    },
    {
        "name": "dated",
        "inputSchema": {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "properties": {"size": {"$ref": "#/definitions/size"}},
            "definitions": {"size": {"type": "integer"}},
        },
    },
]


def say(**message: Any) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def result(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": {"name": "old", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call" and params["name"] == "grow":
        TOOLS.append({"name": "grown", "inputSchema": {"type": "object"}})
        say(method="notifications/tools/list_changed")
        return {"content": [{"type": "text", "text": "grown"}]}
    return None


def main() -> None:
    say(method="notifications/message", params={"level": "info", "data": "hello"})
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        answer = result(message["method"], message.get("params", {}))
        if answer is None:
            say(id=message["id"], error={"code": -32000, "message": "no such thing"})
        else:
            say(id=message["id"], result=answer)


if __name__ == "__main__":
    main()

"""Tools of MCP servers: named in `.mcp.json`, and reached by pooled connections."""

"""What a server's tools are called: `<server>__<tool>`, as every model's API takes it."""

import re
from hashlib import blake2b

LONGEST = 64
"""Characters in a tool's name, for the strictest of the APIs."""
_LONGEST_LABEL = 32
_ODD = re.compile(r"[^A-Za-z0-9_-]")


def label(server: str) -> str:
    """The server's part of its tools' names, which also names its files.

    It holds no `__` and does not end in `_`, so that no two servers can share a tool's name.
    """
    clean = re.sub(r"__+", "_", _ODD.sub("_", server)).rstrip("_")
    if clean == server and len(server) <= _LONGEST_LABEL:
        return server
    return _marked(clean, server, _LONGEST_LABEL)


def prefix(server: str) -> str:
    """What the names of the server's tools begin with."""
    return f"{label(server)}__"


def tool_name(server: str, tool: str) -> str:
    """The name that models know a server's tool by."""
    name = prefix(server) + tool
    clean = _ODD.sub("_", name)
    return name if clean == name and len(name) <= LONGEST else _marked(clean, tool, LONGEST)


def _marked(clean: str, original: str, longest: int) -> str:
    """`clean` with a digest of what it was made of, which keeps it apart from others like it."""
    digest = blake2b(original.encode(errors="surrogatepass"), digest_size=4).hexdigest()
    return f"{clean[: longest - 9]}-{digest}"

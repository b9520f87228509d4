"""What a `.mcp.json` may say, and what is said of one that cannot be used."""

import json
from pathlib import Path
from typing import Any

import pytest

from perdure.errors import PerdureError
from perdure.tools.mcp.config import Endpoint, Program, read_servers


def written(file: Path, servers: Any) -> Path:
    file.write_text(json.dumps({"mcpServers": servers}))
    return file


def test_programs_and_endpoints_are_read(tmp_path: Path) -> None:
    """In the form that other clients read, with or without the type."""
    file = written(
        tmp_path / ".mcp.json",
        {
            "files": {"command": "npx", "args": ["-y", "x"], "env": {"A": "b"}, "timeout": 5},
            "docs": {"type": "streamable-http", "url": "https://example.org/mcp"},
            "more": {"type": "http", "url": "https://example.org/2", "headers": {"X": "y"}},
            "plain": {"type": "stdio", "command": "serve"},
        },
    )
    servers = read_servers([file], {})
    assert servers["files"] == Program(command="npx", args=["-y", "x"], env={"A": "b"}, timeout=5)
    assert servers["docs"] == Endpoint(type="streamable-http", url="https://example.org/mcp")
    assert servers["more"].timeout == 60
    assert list(servers) == ["files", "docs", "more", "plain"]


def test_the_later_file_wins(tmp_path: Path) -> None:
    """A server of the project stands in for the user's of that name; a missing file is none."""
    home = written(tmp_path / "home.json", {"a": {"command": "one"}, "b": {"command": "two"}})
    here = written(tmp_path / "here.json", {"a": {"command": "three"}})
    servers = read_servers([home, tmp_path / "missing.json", here], {})
    assert servers == {"a": Program(command="three"), "b": Program(command="two")}


def test_variables_are_filled_in(tmp_path: Path) -> None:
    """In every value; one that is not set or empty may have a default."""
    entry = {
        "command": "${RUN}",
        "args": ["--in=${WHERE:-/tmp}", "${EMPTY:-full}", "$HOME"],
        "env": {"KEY": "${KEY}"},
    }
    file = written(tmp_path / ".mcp.json", {"a": entry})
    server = read_servers([file], {"RUN": "go", "EMPTY": "", "KEY": "k"})["a"]
    args = ["--in=/tmp", "full", "$HOME"]
    assert server == Program(command="go", args=args, env={"KEY": "k"})


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"args": []}, 'neither a "command" that starts it nor a "url"'),
        ({"command": "a", "url": "http://b"}, "has both a command and a url; take one"),
        ({"type": "sse", "url": "http://b"}, "of type 'sse', which is out of use; ask its maker"),
        ({"command": "a", "colour": 1}, "colour: Extra inputs .* may be: timeout, type, command"),
        ({"command": ""}, "command: String should have at least 1 character"),
        ({"command": "a", "env": {"A": 1}}, r"env\.A: Input should be a valid string"),
        ({"command": "a", "type": "http"}, "type: Input should be 'stdio'"),
        ({"command": "a", "timeout": 60000}, "timeout: Input should be less than or equal to 3600"),
        ({"url": "ftp://b"}, "url: String should match pattern"),
        ({"command": "${NOWHERE}"}, "refers to the variable NOWHERE, which is not set. Set it"),
        ("npx", 'must be an object with a "command" or a "url"'),
    ],
)
def test_a_server_that_cannot_be_used_is_named(tmp_path: Path, entry: Any, sentence: str) -> None:
    """With its file, the cause and the cure."""
    file = written(tmp_path / ".mcp.json", {"docs": entry})
    with pytest.raises(PerdureError, match=rf"Server 'docs' in {file} .*{sentence}"):
        read_servers([file], {})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", "is not valid JSON: .* Correct it"),
        (b"\xff", "is not valid JSON"),
        (b"[]", 'must be an object with "mcpServers"'),
        (b'{"servers": {}}', 'must be an object with "mcpServers"'),
        (b'{"mcpServers": {}, "inputs": []}', "unknown field 'inputs'"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes, sentence: str) -> None:
    """A slip must not silently cost an agent its tools."""
    file = tmp_path / ".mcp.json"
    file.write_bytes(content)
    with pytest.raises(PerdureError, match=rf"{file} .*{sentence}"):
        read_servers([file], {})


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    """As is a file that may not be read."""
    with pytest.raises(PerdureError, match="cannot be read: Is a directory"):
        read_servers([tmp_path], {})


def test_values_are_never_quoted(tmp_path: Path) -> None:
    """They may be keys."""
    file = written(tmp_path / ".mcp.json", {"a": {"url": "${KEY}", "headers": {"X": "${KEY}"}}})
    with pytest.raises(PerdureError) as refused:
        read_servers([file], {"KEY": "sk-secret"})
    assert "sk-secret" not in str(refused.value)
    assert refused.value.__cause__ is None

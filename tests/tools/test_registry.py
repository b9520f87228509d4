"""Which tools a worker has, and what is said about those that it cannot have."""

import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from perdure.errors import PerdureError
from perdure.tools.files import TOOLS
from perdure.tools.mcp.pool import McpServers
from perdure.tools.registry import Registry
from perdure.tools.tool import tool

Install = Callable[[str, str, str], None]

MODULE = '''
from perdure.tools.tool import tool

@tool(replay="safe")
def {name}(text: str) -> str:
    """Say it."""
    return text
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a distribution with one module and one entry point where Python finds it."""
    monkeypatch.syspath_prepend(tmp_path)
    modules: list[str] = []

    def put(distribution: str, value: str, code: str) -> None:
        module = value.partition(":")[0]
        modules.append(module)
        (tmp_path / f"{module}.py").write_text(code)
        folder = tmp_path / f"{distribution}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: {distribution}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[perdure.tools]\nmine = {value}\n")

    yield put
    for module in modules:
        sys.modules.pop(module, None)


def test_the_file_tools_are_found_as_an_entry_point() -> None:
    """Our own tools come in by the same door as those of other projects."""
    assert set(TOOLS) <= set(Registry.load().select(None))


def test_another_projects_tool_is_found(install: Install) -> None:
    """An entry point may name one tool."""
    install("loud", "loud_tools:shout", MODULE.format(name="shout"))
    found = Registry.load().find("shout")
    assert found is not None
    assert found.description == "Say it."


def test_an_entry_point_may_name_several_tools(install: Install) -> None:
    """Any iterable will do."""
    install("loud", "loud_tools:ALL", MODULE.format(name="shout") + "\nALL = [shout]\n")
    assert Registry.load().find("shout") is not None


def test_two_tools_of_one_name_are_refused(install: Install) -> None:
    """The sentence names both distributions: one of them must go."""
    install("loud", "loud_tools:shout", MODULE.format(name="shout"))
    install("louder", "louder_tools:shout", MODULE.format(name="shout"))
    with pytest.raises(PerdureError, match="called 'shout': one of loud and one of louder"):
        Registry.load()


def test_a_module_that_cannot_be_imported_is_named(install: Install) -> None:
    """With its distribution and the cause."""
    install("broken", "broken_tools:ALL", "import no_such_module_anywhere")
    with pytest.raises(PerdureError, match=r"tools of broken .*ModuleNotFoundError: No module"):
        Registry.load()


@pytest.mark.parametrize("value", ["42", "[42]"])
def test_what_is_no_tool_is_refused(install: Install, value: str) -> None:
    """A plain function or a number is a slip of that project's author."""
    install("odd", "odd_tools:ALL", f"ALL = {value}")
    with pytest.raises(PerdureError, match="of odd gives a int where a Tool belongs"):
        Registry.load()


def test_selection_keeps_the_order_asked_for() -> None:
    """Each tool once; the control tools are the workflow's and are left out."""
    chosen = Registry(TOOLS).select(["write_file", "finish", "read_file", "write_file"])
    assert [each.name for each in chosen] == ["write_file", "read_file"]


def test_no_selection_is_every_tool() -> None:
    """An agent that names no tools has all of them; one with an empty list has none."""
    assert Registry(TOOLS).select(None) == TOOLS
    assert Registry(TOOLS).select([]) == ()


def test_an_unknown_name_gets_a_suggestion() -> None:
    """The sentence names the known tools, and the one that was probably meant."""
    with pytest.raises(PerdureError, match=r"'raed_file' is unknown. Did you mean 'read_file'\?"):
        Registry(TOOLS).select(["raed_file"])
    with pytest.raises(PerdureError, match=r"'xyz' is unknown. Known tools: edit_file, list_files"):
        Registry(TOOLS).select(["xyz"])


def test_an_unknown_tool_is_not_found() -> None:
    """A call of it is answered by whoever asked."""
    assert Registry(TOOLS).find("raed_file") is None


def test_a_control_tools_name_is_taken() -> None:
    """A tool called finish would never be called."""

    @tool(replay="safe")
    def finish() -> None:
        """Finish."""

    with pytest.raises(PerdureError, match="No tool can be called 'finish'"):
        Registry([finish])


@pytest_asyncio.fixture
async def servers(tmp_path: Path) -> AsyncIterator[McpServers]:
    """A server that is just starting and whose tools are known from last time, and a new one."""
    silent = {"command": "sleep", "args": ["600"]}
    (tmp_path / ".mcp.json").write_text(json.dumps({"mcpServers": {"docs": silent, "new": silent}}))
    listed = [{"name": name, "inputSchema": {"type": "object"}} for name in ("search", "read")]
    (tmp_path / "docs.json").write_text(json.dumps(listed))
    pool = McpServers([tmp_path / ".mcp.json"], tmp_path, {})
    await pool.open(patience=0.01)
    yield pool
    await pool.close()


async def test_the_tools_of_servers_are_found(servers: McpServers) -> None:
    """After this process's own, by the names that servers give them."""
    registry = Registry(TOOLS, servers)
    names = [each.name for each in registry.select(None)]
    assert names == [*(each.name for each in TOOLS), "docs__search", "docs__read"]
    found = registry.find("docs__read")
    assert found is not None
    assert registry.select(["docs__read"]) == (found,)


async def test_a_registry_knows_the_servers_that_are_opened_later(tmp_path: Path) -> None:
    """The worker puts its parts together first."""
    pool = McpServers([tmp_path / ".mcp.json"], tmp_path, {})
    registry = Registry(TOOLS, pool)
    await pool.open()
    assert registry.select(None) == TOOLS
    await pool.close()


async def test_a_pattern_selects_all_that_fit(servers: McpServers) -> None:
    """All tools of a server, or of this process; each once, where it is first named."""
    registry = Registry(TOOLS, servers)
    chosen = registry.select(["docs__read", "docs__*", "write_*"])
    assert [each.name for each in chosen] == ["docs__read", "docs__search", "write_file"]


def test_a_pattern_that_nothing_fits_is_refused() -> None:
    """As a name that is nobody's is."""
    with pytest.raises(PerdureError, match=r"Tool 'dosc__\*' is unknown. Known tools: "):
        Registry(TOOLS).select(["dosc__*"])


@pytest.mark.parametrize("name", ["new__search", "new__*"])
async def test_a_server_that_never_answered_is_named(servers: McpServers, name: str) -> None:
    """Its tools are not unknown for a slip of the agent's author."""
    with pytest.raises(PerdureError, match="not known yet. MCP server 'new' has not answered yet"):
        Registry(TOOLS, servers).select([name])


async def test_an_unknown_tool_of_a_server_gets_a_suggestion(servers: McpServers) -> None:
    """As any other does."""
    with pytest.raises(PerdureError, match=r"'docs__serch' .* Did you mean 'docs__search'\?"):
        Registry(TOOLS, servers).select(["docs__serch"])


async def test_a_servers_names_are_taken(servers: McpServers) -> None:
    """Whether the server has a tool of that name now or will have."""

    @tool(replay="safe")
    def docs__anything() -> None:
        """Do anything."""

    with pytest.raises(PerdureError, match="such names belong to MCP server 'docs'. Rename one"):
        Registry([docs__anything], servers)

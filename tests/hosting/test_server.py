"""The embedded Temporal server."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest
import pytest_asyncio
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest

from perdure import attributes
from perdure.connection import connect, register_search_attributes
from perdure.errors import ServerError
from perdure.hosting.lock import FileLock
from perdure.hosting.server import RETENTION, EmbeddedServer
from perdure.settings import Settings


@pytest_asyncio.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedServer]:
    """A running server of a home of its own."""
    server = await EmbeddedServer.start(Settings(home=tmp_path_factory.mktemp("home")))
    yield server
    await server.stop()


async def test_runs_are_kept_for_thirty_days(server: EmbeddedServer) -> None:
    """The server's own default of one day would make runs vanish from the Web UI."""
    client = await connect(server.address)
    namespace = await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace="default")
    )
    kept: timedelta = namespace.config.workflow_execution_retention_ttl.ToTimedelta()
    assert kept == RETENTION >= timedelta(days=30)


async def test_search_attributes_are_registered_once(server: EmbeddedServer) -> None:
    """Registering them again, as each worker does, changes nothing."""
    client = await connect(server.address)
    await register_search_attributes(client)
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace="default")
    )
    assert {key.name for key in attributes.ALL} <= known.custom_attributes.keys()


async def test_the_http_api_and_the_web_ui_answer(server: EmbeddedServer) -> None:
    """A program without any SDK reaches both at the addresses that are given out."""
    with await asyncio.to_thread(urlopen, f"{server.http_url}/api/v1/namespaces/default") as reply:
        assert json.load(reply)["namespaceInfo"]["name"] == "default"
    with await asyncio.to_thread(urlopen, server.ui_url) as page:
        assert page.status == 200


async def test_a_killed_server_comes_back_with_its_runs(server: EmbeddedServer) -> None:
    """Kill -9 loses nothing that was started, and the address stays."""
    client = await connect(server.address)
    await client.start_workflow("Anything", id="kept", task_queue="nobody")
    os.kill(server.pid, signal.SIGKILL)
    assert await server.died() == -signal.SIGKILL
    await server.launch()
    kept = await (await connect(server.address)).get_workflow_handle("kept").describe()
    assert kept.id == "kept"


async def test_a_home_has_one_server_at_a_time(server: EmbeddedServer) -> None:
    """Two servers on one database would destroy it."""
    with pytest.raises(ServerError, match=f"already runs, owned by process {os.getpid()}"):
        await EmbeddedServer.start(Settings(home=server.log.parent))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can bind two processes' lives")
def test_the_server_ends_with_a_killed_owner(tmp_path: Path) -> None:
    """Nothing is left running after kill -9 of the process that started it."""
    program = (
        "import sys, asyncio; from pathlib import Path\n"
        "from perdure.hosting.server import EmbeddedServer; from perdure.settings import Settings\n"
        "async def main():\n"
        "    server = await EmbeddedServer.start(Settings(home=Path(sys.argv[1])))\n"
        "    print(server.pid, flush=True)\n"
        "    await server.died()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        server = psutil.Process(int(owner.stdout.readline()))
        owner.kill()
    server.wait(timeout=5)


async def test_the_next_owner_stops_an_orphan(tmp_path: Path) -> None:
    """Where the system could not end the server with its owner, the inherited lock tells."""
    lock = FileLock(tmp_path / "server.lock")
    assert lock.try_acquire()
    with subprocess.Popen(["sleep", "600"], pass_fds=(lock.file,)) as orphan:
        lock.write(json.dumps({"owner": _ended_process(), "server": orphan.pid}))
        lock.close()
        server = await EmbeddedServer.start(Settings(home=tmp_path))
        await server.stop()
        assert orphan.wait(timeout=1) == -signal.SIGKILL


def _ended_process() -> int:
    with subprocess.Popen(["true"]) as process:
        pass
    return process.pid


async def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    """The error quotes the end of the server's log and names its place."""
    (tmp_path / "temporal.db").write_text("this is no database" * 1000)
    with pytest.raises(ServerError, match=r"server\.log ends:\n.*not a database"):
        await EmbeddedServer.start(Settings(home=tmp_path))

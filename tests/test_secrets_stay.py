"""Secrets of the worker's environment stay there: nothing that a run leaves or shows holds them."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

import pytest
import pytest_asyncio
from temporalio.client import WorkflowExecutionStatus

from perdure.connection import connect
from perdure.testing.replies import call, finish
from perdure.testing.scripted_model import ScriptedModel
from tests.command_line import CommandLine, environment_for, until

# Its own variables, and those of every process that it can see, the worker's among them where
# nothing isolates; then a while in which what was printed is in the heartbeats.
PRY = """
echo pr''ied; env
cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -a -e KEY -e MIRROR -e WEBHOOK
echo pr''ied; sleep 3
"""
ELSEWHERE = "cat ~/.bash_history /etc/shadow /run/secrets/* 2>/dev/null; declare -p; ps axeww; true"


@dataclass
class Watched:
    """A home whose worker has secrets, and what was seen of one run in it."""

    starter: CommandLine
    model: ScriptedModel
    kind: str
    secrets: dict[str, str]
    described: list[bytes] = field(default_factory=list)
    """What the server said of the run while it was under way, its heartbeats among it."""
    history: list[bytes] = field(default_factory=list)

    async def run(self) -> subprocess.CompletedProcess[str]:
        """From a shell, as a person does, to the end."""
        command = ["run", "Please pry.", "--id", "pry", "--sandbox", self.kind]
        running = asyncio.create_task(asyncio.to_thread(self.starter, *command))
        await asyncio.to_thread(until, lambda: self.starter.home.host() is not None)
        host = self.starter.home.host()
        assert host is not None
        client = await connect(host.address)
        while not self.model.requests:
            await asyncio.sleep(0.05)
        handle = client.get_workflow_handle("agent-pry")
        while (seen := await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
            self.described.append(seen.raw_description.SerializeToString())
            await asyncio.sleep(0.3)
        history = await handle.fetch_history()
        self.history += [event.SerializeToString() for event in history.events]
        return await running

    def found_in(self, texts: Iterable[tuple[str, bytes]]) -> list[tuple[str, str]]:
        """Which secrets are where."""
        return [
            (name, place)
            for place, text in texts
            for name, value in self.secrets.items()
            if value.encode() in text
        ]


@pytest_asyncio.fixture(params=["bwrap", "docker", "none"])
async def watched(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Watched]:
    """With a key, and a password inside a URL; the host is up for the whole test."""
    key, password, path = f"sk-test-{token_hex(16)}", token_hex(16), token_hex(16)
    script = [call("execute_shell", command=PRY), call("execute_shell", command=ELSEWHERE)]
    async with ScriptedModel([*script, finish("nothing")]) as model:
        own = {
            "PERDURE_HOME": str(tmp_path / "home"),
            "OPENAI_API_KEY": key,
            "PACKAGE_MIRROR": f"https://bob:{password}@example.org/simple",
            "PERDURE_ALERT_WEBHOOK": f"https://example.org/{path}",
        }
        if request.param == "docker":
            own["PERDURE_SANDBOX_IMAGE"] = request.getfixturevalue("docker_image")
        starter = CommandLine(tmp_path / "home", environment_for(model.url) | own)
        up = starter.begin("up")
        secrets = {"key": key, "password": password, "webhook": path}
        yield Watched(starter, model, request.param, secrets)
        up.kill()
        up.communicate()
        if starter.home.has_host:
            await asyncio.to_thread(starter, "down")


@pytest.mark.slow
async def test_secrets_are_nowhere(watched: Watched) -> None:
    """Not in results, live output, heartbeats, history, prompts, logs, nor any file of the home."""
    done = await watched.run()
    assert (done.returncode, done.stdout) == (0, "nothing\n")
    shown = await asyncio.to_thread(watched.starter, "show", "pry", "--json")
    files = [path for path in watched.starter.home.path.rglob("*") if path.is_file()]
    prompts = [json.dumps(request.body) for request in watched.model.requests]

    found = watched.found_in(
        [
            ("standard output", done.stdout.encode()),
            ("standard error", done.stderr.encode()),
            ("show", shown.stdout.encode()),
            *(("heartbeats", each) for each in watched.described),
            *(("history", each) for each in watched.history),
            *(("prompt", each.encode()) for each in prompts),
            *((str(path), path.read_bytes()) for path in files),
        ]
    )
    assert found == []
    # They were there, and what was printed has come to where they were looked for.
    assert watched.model.requests[0].headers["authorization"].endswith(watched.secrets["key"])
    places = [b"".join(watched.described), b"".join(watched.history), done.stderr.encode()]
    assert all(b"pried" in each for each in [*places, prompts[-1].encode()])
    assert {"store.db", "temporal.db", "host.log"} <= {path.name for path in files}
    # Only where nothing isolates can a command see the worker's environment, and then masked.
    is_seen = watched.kind == "none"
    for masked in ("=[OPENAI_API_KEY]", "://bob:[PACKAGE_MIRROR]@", "=[PERDURE_ALERT_WEBHOOK]"):
        assert (masked in prompts[-1]) == is_seen

"""The ready-made agents at work: real sandboxes, real tools, and a model that follows a script."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from perdure.agents import Agents
from perdure.contracts import AgentSpec
from perdure.testing.replies import call, calls, finish
from perdure.testing.script import ChatRequest
from perdure.tools.control import CONTROL_NAMES
from perdure.tools.registry import Registry
from tests.office import Office, files_of, opened
from tests.tools.loopback import Loopback, reply
from tests.tools.web.pages import make_pdf

AGENTS = Path(__file__).parent.parent / "agents"

TESTS = """import unittest

from fibonacci import fibonacci


class Fibonacci(unittest.TestCase):
    def test_begins_with_zero_and_one(self):
        self.assertEqual([fibonacci(0), fibonacci(1)], [0, 1])

    def test_each_number_is_the_sum_of_the_two_before(self):
        self.assertEqual([fibonacci(n) for n in range(2, 8)], [1, 2, 3, 5, 8, 13])
"""
WRONG = "range(n - 1)"  # one round too few
RIGHT = "range(n)"
FIBONACCI = f'''def fibonacci(n):
    """The n-th Fibonacci number, counted from 0."""
    a, b = 0, 1
    for _ in {WRONG}:
        a, b = b, a + b
    return a
'''

WHERE = {"docker": "in Docker", "bwrap": "in bubblewrap", "none": "NOT ISOLATED"}
RED = {"pytest": "2 failed", "unittest": "FAILED (failures=2)"}
GREEN = {"pytest": "2 passed", "unittest": "Ran 2 tests"}
"""What the two runners say, of which a sandbox may have only the second."""


@pytest_asyncio.fixture(params=["docker", "bwrap", "none"])
async def office(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Office]:
    """An office whose commands run in each kind of sandbox."""
    monkeypatch.setenv("PERDURE_SANDBOX", request.param)
    if request.param == "docker":
        monkeypatch.setenv("PERDURE_SANDBOX_IMAGE", request.getfixturevalue("docker_image"))
    async with opened(tmp_path / "home", monkeypatch) as office:
        yield office


in_bwrap = pytest.mark.parametrize("office", ["bwrap"], indirect=True)
"""For agents whose tools are proven in every kind of sandbox elsewhere."""


def runner(told: str) -> str:
    """What `run_tests` has taken, as its first line says."""
    return "pytest" if "pytest" in told.splitlines()[0] else "unittest"


async def test_the_coder_sees_a_test_fail_and_mends_the_code(office: Office) -> None:
    """From an empty folder to green tests; every state on the way is kept, and nothing else."""
    held: list[str] = []

    async def look(request: ChatRequest) -> None:
        held[:] = await asyncio.to_thread(office.left)

    office.model.on_request = look
    work = await office.work(
        "coder",
        [
            call("list_files"),
            calls(
                call("write_file", path="fibonacci.py", content=FIBONACCI),
                call("write_file", path="test_fibonacci.py", content=TESTS),
            ),
            call("run_tests"),
            call("edit_file", path="fibonacci.py", old=WRONG, new=RIGHT),
            call("run_tests"),
            finish("fibonacci.py gives the n-th number; 2 tests pass."),
        ],
    )
    assert (work.result.status, work.result.steps) == ("completed", 6)
    assert WHERE[office.kind] in work.where[0]
    assert [row.status for row in work.results] == ["ok"] * 6
    red, green = work.told("run_tests")
    assert RED[runner(red)] in red
    assert "AssertionError: Lists differ: [0, 0] != [0, 1]" in red
    assert "[exit code 1 after " in red
    assert GREEN[runner(green)] in green
    assert "[exit code 0 after " in green
    assert work.files["fibonacci.py"] == FIBONACCI.replace(WRONG, RIGHT)
    assert work.files["test_fibonacci.py"] == TESTS
    assert (await files_of(office.store, work.run, 3))["fibonacci.py"] == FIBONACCI
    assert held != []  # what is looked for is found while it is there
    assert office.left() == []


@in_bwrap
async def test_the_researcher_reads_and_takes_notes(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page, a PDF that was given to it, and what it makes of them; without any sandbox."""
    monkeypatch.setenv("PERDURE_FETCH_ALLOW", "127.0.0.1")
    given = tmp_path / "given"
    given.mkdir()
    (given / "report.pdf").write_bytes(make_pdf("The bridge is 512 m long."))
    page = b"<html><body><article><p>The bridge opened in 1932.</p></article></body></html>"
    async with Loopback({"/bridge": reply(page, content_type="text/html")}) as web:
        work = await office.work(
            "researcher",
            [
                call("fetch_url", url=f"{web.url}/bridge"),
                call("read_pdf", source="report.pdf"),
                call("write_file", path="notes.md", content="1932 [1], 512 m [2]\n"),
                finish("It opened in 1932 [1] and is 512 m long [2]."),
            ],
            workspace=given,
        )
    assert work.result.status == "completed"
    assert "The bridge opened in 1932." in work.told("fetch_url")[0]
    assert "The bridge is 512 m long." in work.told("read_pdf")[0]
    assert work.files["notes.md"] == "1932 [1], 512 m [2]\n"
    assert not (given / "notes.md").exists()
    assert office.left() == []


@in_bwrap
async def test_the_reviewer_changes_nothing(office: Office, tmp_path: Path) -> None:
    """It reads, runs the tests and reports; the code stays as it was given."""
    given = tmp_path / "given"
    given.mkdir()
    (given / "fibonacci.py").write_text(FIBONACCI)
    (given / "test_fibonacci.py").write_text(TESTS)
    work = await office.work(
        "reviewer",
        [
            calls(call("list_files"), call("read_file", path="fibonacci.py")),
            call("run_tests"),
            call("search_files", pattern=r"range\("),
            call("edit_file", path="fibonacci.py", old=WRONG, new=RIGHT),
            finish("critical: fibonacci.py:4, one round too few. Verdict: reject."),
        ],
        workspace=given,
    )
    assert work.result.status == "completed"
    assert "[exit code 1 after " in work.told("run_tests")[0]
    assert "fibonacci.py:4" in work.told("search_files")[0]
    assert work.told("edit_file") == []  # it has no such tool
    assert work.files["fibonacci.py"] == FIBONACCI
    assert office.left() == []


@in_bwrap
async def test_the_operator_mends_and_alerts(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It finds the cause in a log, mends a setting with a copy kept, and tells people once."""
    given = tmp_path / "given"
    given.mkdir()
    (given / "app.log").write_text("10:00 started\n10:01 ERROR port 80O80 is no number\n")
    (given / "app.conf").write_text("port=80O80\n")
    async with Loopback({"/hook": reply()}) as people:
        monkeypatch.setenv("PERDURE_ALERT_WEBHOOK", f"{people.url}/hook")
        work = await office.work(
            "devops",
            [
                call("read_logs", source="app.log", pattern="ERROR"),
                call("execute_shell", command="cp app.conf app.conf.old; sed -i s/O/0/ app.conf"),
                call("send_alert", title="Port mended", text="It was 80O80.", severity="warning"),
                finish("The port had a letter in it."),
            ],
            workspace=given,
        )
    assert work.result.status == "completed"
    assert "10:01 ERROR port 80O80 is no number" in work.told("read_logs")[0]
    assert (work.files["app.conf"], work.files["app.conf.old"]) == ("port=80080\n", "port=80O80\n")
    assert work.told("send_alert") == ["The alert was sent."]
    (alert,) = people.requests
    assert json.loads(alert.partition("\r\n\r\n")[2])["title"] == "Port mended"
    assert office.left() == []


@in_bwrap
async def test_the_assistant_has_every_tool(office: Office) -> None:
    """It computes, writes down and reads again what the answer needs."""
    work = await office.work(
        "assistant",
        [
            call("run_python", code="open('n', 'w').write(str(sum(range(101))))"),
            call("execute_shell", command="cat n"),
            finish("5050"),
        ],
    )
    assert (work.result.status, work.result.answer) == ("completed", "5050")
    assert work.told("execute_shell")[0].startswith("5050")
    offered = {each["function"]["name"] for each in office.model.requests[0].body["tools"]}
    registry = Registry.load()
    assert offered >= {tool.name for tool in registry.select(None)} - {
        tool.name for tool in registry.team_tools()
    }
    assert office.left() == []


@pytest.mark.parametrize("agent", Agents([AGENTS]).all(), ids=lambda agent: agent.name)
def test_each_agent_has_only_tools_that_there_are(agent: AgentSpec) -> None:
    """A misspelt one would be known to nobody until the agent is run."""
    named = set(agent.tools or ()) - CONTROL_NAMES
    selected = {tool.name for tool in Registry.load().select(agent.tools)}
    assert selected == named if agent.tools else selected

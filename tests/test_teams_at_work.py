"""The ready-made teams at work: real sandboxes, real tools, and a model that follows a script."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
import pytest_asyncio
from temporalio.client import WorkflowHandle

from perdure.console.files import files as print_files
from perdure.console.files import pull
from perdure.contracts import TASK_QUEUE, AgentResult
from perdure.settings import Settings
from perdure.store.family import Family
from perdure.store.notes import Notes
from perdure.store.tables import Run, StoredEntry
from perdure.teams.contracts import TeamRequest, TeamSpec, TeamState
from perdure.teams.files import Teams
from perdure.testing.replies import Completion, call, calls, finish
from perdure.testing.script import ChatRequest, Script
from tests.office import Office, files_of, opened
from tests.tools.loopback import Loopback, reply
from workflows.team import TeamWorkflow

TEAMS = Path(__file__).parent.parent / "teams"


@pytest_asyncio.fixture(
    scope="module",
    params=["bwrap", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("docker", "none"))],
)
async def opened_office(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Office]:
    """An office whose commands run in each kind of sandbox."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PERDURE_SANDBOX", request.param)
        if request.param == "docker":
            image = request.getfixturevalue("docker_image")
            environment.setenv("PERDURE_SANDBOX_IMAGE", image)
        async with opened(tmp_path_factory.mktemp("teams") / "home", environment) as office:
            yield office


@pytest.fixture
def office(opened_office: Office) -> Office:
    """The office, with nothing remembered of earlier tests."""
    opened_office.model.requests.clear()
    opened_office.model.on_request = None
    return opened_office


in_bwrap = pytest.mark.parametrize("opened_office", ["bwrap"], indirect=True)
"""For what is proven in every kind of sandbox elsewhere."""


def software(*, shares: bool) -> TeamSpec:
    """The ready-made team, as it is or with all of its members at work on the same files."""
    team = Teams([TEAMS]).load("software")
    return team.model_copy(update={"shared_workspace": shares})


async def begin(
    office: Office, team: str | TeamSpec, goal: str, script: Script
) -> WorkflowHandle[Any, AgentResult]:
    """Have the team do what the script says."""
    office.model.follow(script)
    request = TeamRequest(goal=goal, team=team, model="scripted")
    return await office.client.start_workflow(
        TeamWorkflow.run, request, id=f"team-{uuid4().hex[:8]}", task_queue=TASK_QUEUE
    )


@dataclass(frozen=True)
class Teamwork:
    """What a team that has ended has left."""

    id: str
    result: AgentResult
    state: TeamState
    runs: Mapping[str, Run]
    """By workflow id without the team's, such as `developer-1.1`."""
    entries: Mapping[str, Sequence[StoredEntry]]
    """What those runs' models were shown."""
    parents: Mapping[str, str | None]
    """Of those runs, as Temporal says."""

    @classmethod
    async def of(cls, office: Office, handle: WorkflowHandle[Any, AgentResult]) -> "Teamwork":
        result = await handle.result()
        family = await Family(office.store).of(handle.id)
        runs = {each.run.workflow_id.removeprefix(f"{handle.id}."): each.run for each in family}
        news = {name: await office.store.news(run.id, None) for name, run in runs.items()}
        children = {
            name: await office.client.get_workflow_handle(run.workflow_id).describe()
            for name, run in runs.items()
        }
        return cls(
            id=handle.id,
            result=result,
            state=await handle.query(TeamWorkflow.status),
            runs=runs,
            entries={
                name: [row for row in rows if isinstance(row, StoredEntry)]
                for name, rows in news.items()
            },
            parents={name: child.parent_id for name, child in children.items()},
        )

    @property
    def ledger(self) -> list[tuple[str, str, str]]:
        return [(task.id, task.member, task.status) for task in self.state.tasks]

    def told(self, run: str, tool: str) -> list[str]:
        """What the run's model was told by each call of that tool."""
        return [row.text for row in self.entries[run] if row.tool == tool]

    @property
    def messages(self) -> Counter[tuple[str, str]]:
        """How often each message of a member was shown, by reader."""
        return Counter(
            (run.partition(".")[0], row.text)
            for run, rows in self.entries.items()
            for row in rows
            if row.kind == "message" and row.text.startswith("Message from ")
        )


def assign(*tasks: Sequence[str]) -> Completion:
    """Tasks of id, member, text and what each builds on; and the wait for their end."""
    names = ("id", "to", "task")
    wanted = [
        dict(zip(names, each, strict=False)) | {"depends_on": list(each[3:])} for each in tasks
    ]
    return calls(call("assign", tasks=wanted), call("wait_for_tasks"))


def at_once(office: Office, *places: tuple[str, int]) -> None:
    """Have the replies at these places of their tasks sent together."""
    meeting = asyncio.Barrier(len(places))

    async def meet(request: ChatRequest) -> None:
        if any(task in request.task and place == request.place for task, place in places):
            await meeting.wait()

    office.model.on_request = meet


# A small program that a team of four kinds makes

GOAL = "Words are to be counted."
DESIGN = "core.py: count(text) -> dict[str, int]. cli.py: main() prints `WORD N`, frequent first."
SPLIT, LOWERED = "text.split()", "text.lower().split()"
CORE = f"""def count(text):
    found = {{}}
    for word in {SPLIT}:
        found[word] = found.get(word, 0) + 1
    return found
"""
TEST_CORE = """import unittest

from core import count


class Count(unittest.TestCase):
    def test_letter_case_makes_no_other_word(self):
        self.assertEqual(count("A b a"), {"a": 2, "b": 1})
"""
FOUND, SORTED = "found.items()", "sorted(found.items(), key=lambda each: -each[1])"
CLI = f"""import sys

from core import count


def lines(text):
    found = count(text)
    return [f"{{word}} {{number}}" for word, number in {FOUND}]


def main():
    print("\\n".join(lines(sys.stdin.read())))
"""
ONCE, TWICE = 'lines("a"), ["a 1"]', 'lines("b a A"), ["a 2", "b 1"]'
TEST_CLI = f"""import unittest

from cli import lines


class Lines(unittest.TestCase):
    def test_each_word_has_its_number(self):
        self.assertEqual({ONCE})
"""
BUILD = """set -e
mkdir app && cp core.py cli.py app && python3 -m zipapp app -m cli:main -o words.pyz && rm -r app
mkdir /tmp/smoke && cp words.pyz /tmp/smoke && cd /tmp/smoke && printf 'b a A' | python3 words.pyz
rm -r /tmp/smoke
"""
RELEASE = "python3 words.pyz < TEXT\n"
CHOICES = ["core: words end at white space", "samples: one line each"]
QUESTION = "Does count tell A from a?"
DECISION = "No: letter case makes no other word."
FINDING = "major: cli.py:8 prints in the order of the text. Accept after mending."


def put_together(request: ChatRequest) -> Completion:
    """When somebody was faster with the note, write what both have said as its next version."""
    told = [each["content"] for each in request.messages if each["role"] == "tool"]
    if "Not written" in told[-1]:
        return call("note", name="choices", text="; ".join(CHOICES), version=1)
    return call("read_notes", name="choices")


def steps(*each: Completion | Callable[[ChatRequest], Completion]) -> Any:
    """The replies of one task; a function decides by what its request shows."""

    def find(request: ChatRequest) -> Completion:
        step = each[request.place]
        return step if isinstance(step, Completion) else step(request)

    return find


def word_counter(*, shares: bool) -> Script:
    """What each member does; where all work on the same files, they look instead of taking."""

    def files(member: str) -> Completion:
        return call("list_files") if shares else call("take_files", member=member)

    return {
        GOAL: [
            call("note", name="design", text=DESIGN),
            assign(
                ("core", "developer", "Build the core."),
                ("samples", "developer", "Write samples."),
                ("cli", "developer-2", "Build the command line.", "core"),
            ),
            call("send_message", to="developer-1", text=DECISION),
            call("wait_for_tasks"),
            files("developer-2"),
            assign(("review", "reviewer", "Review the whole.")),
            assign(("order", "developer-2", "Mend the order.", "review")),
            files("developer-2"),
            assign(("package", "deployer", "Package it.")),
            files("deployer"),
            finish("words.pyz counts words."),
        ],
        "Build the core.": steps(
            call("read_notes", name="design"),
            calls(
                call("write_file", path="core.py", content=CORE),
                call("write_file", path="test_core.py", content=TEST_CORE),
            ),
            call("note", name="choices", text=CHOICES[0]),
            put_together,
            calls(
                call("send_message", to="architect", text=QUESTION),
                call("wait", seconds=60, reason="the architect's answer"),
            ),
            call("run_tests", path="test_core.py"),
            call("edit_file", path="core.py", old=SPLIT, new=LOWERED),
            call("run_tests", path="test_core.py"),
            finish("core.py has count; its test is green."),
        ),
        "Write samples.": steps(
            call("write_file", path="sample.txt", content="b a A\n"),
            call("note", name="choices", text=CHOICES[1]),
            put_together,
            finish("sample.txt is there."),
        ),
        "Build the command line.": [
            files("developer-1"),
            calls(
                call("write_file", path="cli.py", content=CLI),
                call("write_file", path="test_cli.py", content=TEST_CLI),
            ),
            call("run_tests"),
            finish("cli.py prints the numbers."),
        ],
        "Review the whole.": [
            files("architect"),
            calls(call("run_tests"), call("search_files", pattern="items")),
            finish(FINDING),
        ],
        "Mend the order.": [
            call("edit_file", path="test_cli.py", old=ONCE, new=TWICE),
            call("run_tests", path="test_cli.py"),
            call("edit_file", path="cli.py", old=FOUND, new=SORTED),
            call("run_tests", path="test_cli.py"),
            finish("cli.py prints the most frequent first."),
        ],
        "Package it.": [
            files("architect"),
            call("run_tests"),
            call("execute_shell", command=BUILD),
            call("write_file", path="RELEASE.md", content=RELEASE),
            finish("words.pyz is built, and printed what it should."),
        ],
    }


FILES = {
    "core.py": CORE.replace(SPLIT, LOWERED),
    "test_core.py": TEST_CORE,
    "cli.py": CLI.replace(FOUND, SORTED),
    "test_cli.py": TEST_CLI.replace(ONCE, TWICE),
    "sample.txt": "b a A\n",
    "RELEASE.md": RELEASE,
}


@pytest.mark.parametrize(
    "shares",
    [
        pytest.param(False, id="own-files"),
        pytest.param(True, marks=pytest.mark.slow, id="shared-files"),
    ],
)
async def test_the_software_team_builds_a_program(
    office: Office, shares: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a goal to a package that runs: red tests are mended, and so is what a review finds."""
    at_once(office, ("Build the core.", 2), ("Write samples.", 1))
    script = word_counter(shares=shares)
    work = await Teamwork.of(office, await begin(office, software(shares=shares), GOAL, script))
    assert (work.result.status, work.result.answer) == ("completed", "words.pyz counts words.")
    assert work.ledger == [
        ("core", "developer-1", "done"),
        ("samples", "developer-2", "done"),
        ("cli", "developer-2", "done"),
        ("review", "reviewer", "done"),
        ("order", "developer-2", "done"),
        ("package", "deployer", "done"),
    ]
    check_tests(work)
    check_words(work)
    await check_choices(office, work)
    if not shares:
        check_handing_over(work)
    assert set(work.runs) == {
        *("architect.1", "developer-1.1", "reviewer.1", "deployer.1"),
        *(f"developer-2.{number}" for number in (1, 2, 3)),
    }
    assert set(work.parents.values()) == {work.id}
    owner = work.id if shares else f"{work.id}.architect.1"
    await check_package(office, owner, tmp_path / "pulled", capsys)
    assert office.left() == []


def check_tests(work: Teamwork) -> None:
    """The tests failed before the code was mended, and passed afterwards."""
    ended = {
        run: ["[exit code 0 after " in told for told in work.told(run, "run_tests")]
        for run in work.runs
    }
    assert ended == {
        "architect.1": [],
        "developer-1.1": [False, True],
        "developer-2.1": [],
        "developer-2.2": [True],
        "developer-2.3": [False, True],
        "reviewer.1": [True],
        "deployer.1": [True],
    }
    assert (
        "AssertionError: {'A': 1, 'b': 1, 'a': 1} !=" in work.told("developer-1.1", "run_tests")[0]
    )
    assert work.told("deployer.1", "execute_shell")[0].startswith("a 2\nb 1\n[exit code 0 ")


def check_words(work: Teamwork) -> None:
    """Each message was read once, by the one it was for; so was what a task builds on."""
    assert work.messages == {
        ("architect", f"Message from developer-1.\n{QUESTION}"): 1,
        ("developer-1", f"Message from architect.\n{DECISION}"): 1,
    }
    assert work.state.messages == {"developer-1>architect": 1, "architect>developer-1": 1}
    needed = [
        row.text
        for run in ("developer-2.2", "developer-2.3")
        for row in work.entries[run]
        if row.kind == "message"
    ]
    assert "core.py has count; its test is green." in needed[0]
    assert FINDING in needed[1]


async def check_choices(office: Office, work: Teamwork) -> None:
    """Of two who wrote one note at once one was told, and put both texts together."""
    told = {run: work.told(run, "note") for run in ("developer-1.1", "developer-2.1")}
    assert Counter(text.partition(":")[0] for texts in told.values() for text in texts) == {
        "Wrote version 1 of the note 'choices'.": 1,
        "Not written": 1,
        "Wrote version 2 of the note 'choices'.": 1,
    }
    notes = await Notes(office.store).all(work.id)
    assert [(note.name, note.version, note.text) for note in notes] == [
        ("choices", 2, "; ".join(CHOICES)),
        ("design", 1, DESIGN),
    ]
    assert work.told("developer-1.1", "read_notes")[0].endswith(f"by architect]\n{DESIGN}")


def check_handing_over(work: Teamwork) -> None:
    """Files came from whoever had them, and nobody's own were replaced in silence."""
    assert "core.py" in work.told("developer-2.2", "take_files")[0]
    first, second, last = work.told("architect.1", "take_files")
    assert "replace" not in first
    assert "They replace your own: cli.py, test_cli.py." in second
    assert "words.pyz" in last


async def check_package(
    office: Office, owner: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`files` lists what there is, `pull` fetches it, and it works on this machine."""
    settings = Settings(home=office.home)
    capsys.readouterr()
    await print_files(settings, owner, None, as_json=True)
    listed = json.loads(capsys.readouterr().out)
    files = {each["path"] for each in listed if each["kind"] == "file"}
    assert {path for path in files if "cache" not in path} == {*FILES, "words.pyz"}
    assert await pull(settings, owner, folder, None, force=False) == 0
    assert {path: (folder / path).read_text() for path in FILES} == FILES
    package = [sys.executable, str(folder / "words.pyz")]
    printed = await asyncio.to_thread(subprocess.check_output, package, input=b"b a A")
    assert printed == b"a 2\nb 1\n"


# Commands that end otherwise than they should


def lingering() -> tuple[str, Callable[[], list[psutil.Process]]]:
    """A command that takes an hour, and how to find its processes."""
    seconds = f"3600.{uuid4().int % 10**9:09}"

    def find() -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.cmdline() == ["sleep", seconds]:
                    found.append(process)
        return found

    return f"exec sleep {seconds}", find


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.05)


@in_bwrap
async def test_a_killed_command_in_the_shared_workspace_disturbs_nobody(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    """A colleague works on while it runs; the member is told of its end and goes on."""
    command, processes = lingering()
    handle = await begin(
        office,
        software(shares=True),
        "Two halves are wanted.",
        {
            "Two halves": [
                assign(("left", "developer", "Make one."), ("right", "developer", "Make two.")),
                call("read_file", path="left.txt"),
                finish("Both are there."),
            ],
            "Make one.": [
                call("execute_shell", command=command),
                call("execute_shell", command="cat right.txt > left.txt"),
                finish("Made one."),
            ],
            "Make two.": [
                call("execute_shell", command="echo right > right.txt"),
                finish("Made two."),
            ],
        },
    )
    await until(lambda: len(processes()) == 1 and office.model.served("Make two.", 1))
    processes()[0].kill()
    work = await Teamwork.of(office, handle)
    assert (work.result.status, work.result.answer) == ("completed", "Both are there.")
    assert work.told("developer-1.1", "execute_shell")[0].startswith("[exit code 137 (SIGKILL) ")
    assert work.told("architect.1", "read_file") == ["right\n"]
    await print_files(Settings(home=office.home), handle.id, None, as_json=True)
    assert [each["path"] for each in json.loads(capsys.readouterr().out)] == [
        "left.txt",
        "right.txt",
    ]
    assert office.left() == []


@in_bwrap
@pytest.mark.parametrize("shares", [False, True], ids=["own-files", "shared-files"])
async def test_a_cancelled_team_leaves_no_command_running(office: Office, shares: bool) -> None:
    """When its result is there, the processes of its members are gone."""
    command, processes = lingering()
    handle = await begin(
        office,
        software(shares=shares),
        "This takes hours.",
        {
            "hours": [assign(("one", "developer", "Sleep."), ("two", "developer", "Sleep."))],
            "Sleep.": [call("execute_shell", command=command)],
        },
    )
    await until(lambda: len(processes()) == 2)
    await handle.cancel()
    result = await handle.result()
    assert (processes(), office.left()) == ([], [])
    work = await Teamwork.of(office, handle)
    assert (result.status, result.reason) == ("cancelled", "The team was cancelled.")
    assert set(work.runs) == {"architect.1", "developer-1.1", "developer-2.1"}
    assert {(run.result or {})["status"] for run in work.runs.values()} == {"cancelled"}


# The team that answers questions


@in_bwrap
@pytest.mark.slow
async def test_the_research_team_answers_from_pages_and_checks_the_answer(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two researchers read, the coordinator writes, and the checker opens the sources again."""
    monkeypatch.setenv("PERDURE_FETCH_ALLOW", "127.0.0.1")
    pages = {
        path: reply(
            f"<html><body><article><p>{text}</p></article></body></html>".encode(),
            content_type="text/html",
        )
        for path, text in {
            "/opening": "The bridge opened in 1932.",
            "/length": "The bridge is 512 m long.",
        }.items()
    }
    async with Loopback(pages) as web:
        report = f"1932 [1], 512 m [2].\n[1] {web.url}/opening\n[2] {web.url}/length\n"
        handle = await begin(
            office,
            "research",
            "What is known of the bridge?",
            {
                "What is known": [
                    assign(
                        ("opening", "researcher", "When did it open?"),
                        ("length", "researcher", "How long is it?", "opening"),
                    ),
                    call("read_notes", name="sources"),
                    call("write_file", path="report.md", content=report),
                    assign(("check", "checker", "Check report.md of the coordinator.")),
                    finish("It opened in 1932 [1] and is 512 m long [2]; both were checked."),
                ],
                "When did it open?": [
                    call("fetch_url", url=f"{web.url}/opening"),
                    call("note", name="sources", text="/opening: the year"),
                    finish("In 1932."),
                ],
                "How long is it?": [
                    call("read_notes", name="sources"),
                    call("fetch_url", url=f"{web.url}/length"),
                    call("note", name="sources", text="/opening, /length", version=1),
                    finish("512 m."),
                ],
                "Check report.md": [
                    call("take_files", member="coordinator", paths=["report.md"]),
                    call("read_file", path="report.md"),
                    calls(*(call("fetch_url", url=f"{web.url}{path}") for path in pages)),
                    finish("Both claims are supported."),
                ],
            },
        )
        work = await Teamwork.of(office, handle)
    assert work.result.status == "completed"
    assert work.result.answer.startswith("It opened in 1932 [1]")
    assert work.ledger == [
        ("opening", "researcher-1", "done"),
        ("length", "researcher-1", "done"),
        ("check", "checker", "done"),
    ]
    assert "/opening, /length" in work.told("coordinator.1", "read_notes")[0]
    assert work.told("checker.1", "read_file") == [report]
    read = " ".join(work.told("checker.1", "fetch_url"))
    assert "The bridge opened in 1932." in read
    assert "The bridge is 512 m long." in read
    assert await files_of(office.store, work.runs["coordinator.1"].id) == {"report.md": report}
    assert office.left() == []

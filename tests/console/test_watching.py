"""What a person sees of a team and of delegated work while it goes on."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from perdure.testing.process import ScriptedModelProcess
from perdure.testing.replies import call, calls, finish
from perdure.testing.script import Attempts
from tests.command_line import STARTER, CommandLine, environment_for, until


def _task(id: str, *needs: str) -> dict[str, object]:
    return {"id": id, "task": f"please make {id}", "to": "coder", "depends_on": needs}


PARTS = [call("delegate", agent="assistant", task=f"please do part {n}") for n in ("one", "two")]
SCRIPT: dict[str, Sequence[Attempts]] = {
    "build the thing": [
        call("assign", tasks=[_task("plan"), _task("code", "plan")]),
        call("wait_for_tasks"),
        finish("It is built."),
    ],
    "please make plan": [finish("The plan.")],
    "please make code": [
        call("wait", seconds=600),
        call("send_message", to="coder-2", text="It is soon done."),
        finish("The code."),
    ],
    "hand it out": [calls(*PARTS), finish("Both parts are done.")],
    "please do part one": [call("wait", seconds=1), finish("one")],
    "please do part two": [call("wait", seconds=1), finish("two")],
}
CREW = ("--lead", "architect", "--member", "coder:2")
TEAM = ("team", "Please build the thing.", *CREW)
EDITOR = "---\ndescription: Hands out work.\ntools: [delegate]\n---\nHand it out.\n"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    home = tmp_path_factory.mktemp("home")
    with ScriptedModelProcess(SCRIPT) as model:
        yield environment_for(model.url) | {"PERDURE_HOME": str(home)}


@pytest.fixture(scope="module")
def starter(environment: dict[str, str]) -> Iterator[CommandLine]:
    """The command line of a home that is kept up."""
    starter = CommandLine(Path(environment["PERDURE_HOME"]), environment)
    up = starter.begin("up")
    until(lambda: starter.home.host() is not None)
    yield starter
    up.send_signal(signal.SIGINT)
    up.communicate()
    starter("down")  # a test that failed may have left a detached team
    until(lambda: not starter.home.has_host)


def test_a_team_is_told_line_by_line(starter: CommandLine) -> None:
    """Each change once, in their order; the answer alone goes to the output."""
    watching = starter.begin(*TEAM, "--id", "plain")
    _wait_for_coder(starter, "team-plain")
    starter("tell", "team-plain.coder-1.2", "Go on.")
    output, errors = watching.communicate()
    assert (watching.returncode, output) == (0, "It is built.\n")
    lines = errors.splitlines()
    told = ["coder-1 → coder-2: 1 message", "code is done by coder-1: The code."]
    assert sorted(line for line in lines if line in told) == sorted(told)
    assert len(lines) == len(set(lines))
    assert lines[-1].startswith("completed after ")


@pytest.mark.slow
def test_who_comes_back_is_told_once_how_it_stands(starter: CommandLine) -> None:
    """One summary, then what is new; never what was before."""
    starter(*TEAM, "--id", "left", "--detach")
    _wait_for_coder(starter, "team-left")
    watching = starter.begin("watch", "team-left")
    assert watching.stderr is not None
    before = list(iter(watching.stderr.readline, "working: architect, coder-1 (code)\n"))
    starter("tell", "team-left.coder-1.2", "Go on.")
    output, after = watching.communicate()
    assert (watching.returncode, output) == (0, "It is built.\n")
    assert [line for line in before if "tasks:" in line] == ["tasks: 1 running, 1 done\n"]
    assert "code is done by coder-1: The code.\n" in after
    assert "plan" not in "".join(before) + after


@pytest.mark.slow
def test_a_program_is_told_how_the_team_stood(starter: CommandLine) -> None:
    """With --json: the result, the members, the ledger, the messages; live and afterwards."""
    watching = starter.begin(*TEAM, "--id", "told", "--json")
    _wait_for_coder(starter, "team-told")
    starter("tell", "team-told.coder-1.2", "Go on.")
    live = json.loads(watching.communicate()[0])
    afterwards = starter.json("watch", "team-told")
    for told in (live, afterwards):
        assert (told["status"], told["answer"]) == ("completed", "It is built.")
        assert [each["status"] for each in told["team"]["tasks"]] == ["done", "done"]
        assert told["team"]["messages"] == {"coder-1>coder-2": 1}
    assert live["team"] == afterwards["team"]


def test_a_terminal_shows_a_table(starter: CommandLine, environment: dict[str, str]) -> None:
    """Members and the open tasks, brought up to date in place, and the answer below them."""
    terminal = Terminal([*TEAM, "--id", "table"], environment)
    terminal.read(lambda screen: "please make code" in screen.rpartition("running — ")[2])
    _wait_for_coder(starter, "team-table")
    starter("tell", "team-table.coder-1.2", "Go on.")
    screen = terminal.read(lambda _: False)
    assert "\x1b[1A\x1b[2K" in screen
    *_, before, last = screen.split("team of 3 members")
    assert "tasks: 2 done" in last
    assert "It is built." in last
    assert "It is built." not in before


def test_delegated_work_is_seen_among_the_steps(starter: CommandLine, tmp_path: Path) -> None:
    """A child's beginning, its steps behind its number, and its end; then its parent goes on."""
    (tmp_path / "editor.md").write_text(EDITOR)
    agent = ("--agent", str(tmp_path / "editor.md"))
    done = starter("run", "Please hand it out.", *agent, "--id", "parts")
    assert (done.returncode, done.stdout) == (0, "Both parts are done.\n")
    lines = done.stderr.splitlines()
    for child in (".1", ".2"):
        own = [n for n, line in enumerate(lines) if line.startswith(f"  {child} │ ")]
        (begun,) = (n for n, line in enumerate(lines) if f"⤷ agent-parts{child} begins" in line)
        (ended,) = (n for n, line in enumerate(lines) if f"⤶ agent-parts{child} completed" in line)
        assert own
        assert begun < own[0] < own[-1] < ended
    assert lines[-1].startswith("completed after ")


def _wait_for_coder(starter: CommandLine, team: str) -> None:
    """Until the second task waits to be told to go on."""

    def waits() -> bool:
        runs = {each["id"]: each["status"] for each in starter.json("list", "--all")}
        return runs.get(f"{team}.coder-1.2") == "waiting"

    until(waits)


class Terminal:
    """A command on a terminal of 30 lines."""

    def __init__(self, arguments: Sequence[str], environment: dict[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 110, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, str(STARTER), *arguments],
            stdout=theirs,
            stderr=theirs,
            env=environment | {"TERM": "xterm"},
        )
        os.close(theirs)
        self._written = b""

    def read(self, enough: Callable[[str], bool]) -> str:
        """Everything so far, as soon as it is enough or the command has ended."""
        while not enough(self._written.decode(errors="ignore")):
            try:
                self._written += os.read(self._ours, 65536)
            except OSError:  # so ends what a terminal gives once its last writer is gone
                os.close(self._ours)
                self._process.wait()
                break
        return self._written.decode()

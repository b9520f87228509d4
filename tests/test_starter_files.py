"""The command line about sandboxes: where commands run, what they print, what they leave."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from temporalio.client import Client

from perdure.connection import connect
from perdure.errors import ServerError
from perdure.hosting.ports import free_port
from perdure.testing.process import ScriptedModelProcess
from perdure.testing.replies import call, finish
from perdure.testing.script import Attempts
from tests.command_line import CommandLine, environment_for, until
from tests.office import processes

SCRIPT: dict[str, Sequence[Attempts]] = {
    "build": [
        call("execute_shell", command="mkdir -m 750 src; echo one > src/a; ln -s a src/link"),
        call("execute_shell", command="echo two >> src/a; printf '\\0' > bytes; chmod 755 src/a"),
        finish("built"),
    ],
    "shout": [
        call("execute_shell", command="echo first; until [ -e heard ]; do sleep 0.1; done"),
        finish("hoarse"),
    ],
    "linger": [call("execute_shell", command="sleep 4714 & touch begun; wait"), finish("never")],
}


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModelProcess]:
    with ScriptedModelProcess(SCRIPT) as model:
        yield model


@pytest.fixture(scope="module")
def starter(
    tmp_path_factory: pytest.TempPathFactory, model: ScriptedModelProcess
) -> Iterator[CommandLine]:
    """The command line of a home that stays up, in which one run has built something."""
    home = tmp_path_factory.mktemp("home")
    environment = environment_for(model.url) | {"PERDURE_SANDBOX": "bwrap"}
    starter = CommandLine(home, environment | {"PERDURE_HOME": str(home)})
    up = starter.begin("up")
    until(lambda: starter.home.host() is not None)
    assert starter("run", "Please build.", "--id", "built").returncode == 0
    yield starter
    up.send_signal(signal.SIGINT)
    up.communicate()
    starter("down")  # a test that failed may have left a detached run
    until(lambda: not starter.home.has_host)


@pytest.fixture
def fresh(tmp_path: Path, model: ScriptedModelProcess) -> Iterator[CommandLine]:
    """The command line of a home in which nothing has happened."""
    own = {"PERDURE_HOME": str(tmp_path / "home"), "PERDURE_PORT": str(free_port())}
    starter = CommandLine(tmp_path / "home", environment_for(model.url) | own)
    yield starter
    if starter.home.has_host:
        starter("down")


def boxes(starter: CommandLine) -> list[Path]:
    return list((starter.home.path / "sandboxes").glob("*"))


def has_begun(starter: CommandLine, count: int = 1) -> None:
    """Wait until so many sandboxes have a command that lingers."""
    until(lambda: sum((box / "workspace" / "begun").exists() for box in boxes(starter)) == count)


# Where commands run


@pytest.mark.parametrize(
    ("kind", "words"), [("bwrap", "Commands run in bubblewrap"), ("none", "NOT ISOLATED")]
)
def test_a_run_says_where_its_commands_run(fresh: CommandLine, kind: str, words: str) -> None:
    """In the kind of sandbox that was asked for, which leaves nothing behind."""
    done = fresh("run", "Please build.", "--sandbox", kind)
    assert (done.returncode, done.stdout) == (0, "built\n")
    assert words in done.stderr
    assert boxes(fresh) == []


def test_what_a_command_prints_is_seen_while_it_runs(starter: CommandLine) -> None:
    """Whoever watches need not wait for its end."""
    starter("run", "Please shout.", "--id", "loud", "--detach")
    watching = starter.begin("watch", "loud")
    assert watching.stderr is not None
    assert any("│ first" in line for line in watching.stderr)
    (box,) = boxes(starter)
    (box / "workspace" / "heard").touch()
    output, _ = watching.communicate(timeout=60)
    assert (watching.returncode, output) == (0, "hoarse\n")


# What a run has left


def test_the_files_are_listed(starter: CommandLine) -> None:
    """As they were last, or after a step."""
    listed = starter("files", "built")
    assert [line.split()[-1] for line in listed.stdout.splitlines()] == [
        *("bytes", "src", "src/a", "a")  # the link is shown with its target
    ]
    sizes = {each["path"]: each.get("size") for each in starter.json("files", "built")}
    assert sizes == {"bytes": 1, "src": None, "src/a": 8, "src/link": None}
    early = {each["path"] for each in starter.json("files", "built", "--step", "1")}
    assert early == {"src", "src/a", "src/link"}
    assert starter.json("files", "built", "--step", "0") == []


def test_a_step_that_was_never_made_ends_with_two(starter: CommandLine) -> None:
    """The sentence names the last one."""
    done = starter("files", "built", "--step", "9")
    assert done.returncode == 2
    assert "has no step 9" in done.stderr


def test_the_difference_of_two_steps_is_shown(starter: CommandLine) -> None:
    """As git shows it; from the beginning to the end if nothing else is said."""
    step = starter("diff", "built", "--from", "1", "--to", "2").stdout
    assert "old mode 100644\nnew mode 100755\n" in step
    assert "\n one\n+two\n" in step
    assert "link" not in step
    assert "\n+one\n+two\n" in starter("diff", "built").stdout
    changes = {
        each["path"]: each["change"] for each in starter.json("diff", "built", "--from", "1")
    }
    assert changes == {"bytes": "added", "src/a": "changed"}


def test_files_are_pulled_and_nothing_is_overwritten_unasked(
    starter: CommandLine, tmp_path: Path
) -> None:
    """Once more is no conflict; another content is, unless it is forced."""
    file = tmp_path / "out" / "src" / "a"
    assert starter("pull", "built", str(tmp_path / "out")).returncode == 0
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("one\ntwo\n", 0o755)
    assert file.with_name("link").readlink() == Path("a")
    assert starter("pull", "built", str(tmp_path / "out")).returncode == 0
    file.write_text("mine\n")
    refused = starter("pull", "built", str(tmp_path / "out"), "--step", "1")
    assert refused.returncode == 1
    assert "has other content, or a repository, at src/a." in refused.stderr
    assert file.read_text() == "mine\n"
    forced = starter("pull", "built", str(tmp_path / "out"), "--step", "1", "--force")
    assert (forced.returncode, file.read_text()) == (0, "one\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pull", "built", ""], "DIR '' names no directory. An unset variable?"),
        (["run", "x", "--workspace", ""], "--workspace '' names no directory. An unset variable?"),
        (["run", "x", "--workspace", "x" * 300], "cannot be used: File name too long"),
        (["pull", "built", "/etc/passwd"], "'/etc/passwd' is not a directory"),
        (["pull", "built", "{}/loop"], "Symlink loop"),
    ],
)
def test_a_folder_that_can_be_none_ends_with_two(
    starter: CommandLine, tmp_path: Path, arguments: list[str], words: str
) -> None:
    """A sentence names it and the cause; an empty one is not the current directory."""
    (tmp_path / "loop").symlink_to("loop")
    done = starter(*(each.replace("{}", str(tmp_path)) for each in arguments))
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_and_pull_count_the_files_alike(starter: CommandLine, tmp_path: Path) -> None:
    """Links are counted by themselves."""
    assert "2 files: starter.py files" in starter("run", "Please build.").stderr
    assert "Wrote 2 files and 1 link into" in starter("pull", "built", str(tmp_path / "o")).stderr


# What is cleaned up


@pytest.mark.slow
def test_clean_removes_what_an_ended_run_left_and_nothing_else(fresh: CommandLine) -> None:
    """After everything was killed and one of two runs ended where no worker could see it."""
    running = [
        fresh.begin("run", "Please linger.", "--id", name, "--sandbox", kind)
        for name, kind in (("orphan", "bwrap"), ("living", "none"))
    ]
    has_begun(fresh, 2)
    kill_everything(fresh, running)
    watching = fresh.begin("watch", "living")
    until(lambda: fresh.home.host() is not None)
    asyncio.run(terminate(fresh, "agent-orphan"))

    (removed,) = fresh.json("clean")
    assert (removed["kind"], removed["workflow_id"]) == ("bwrap", "agent-orphan")
    (box,) = boxes(fresh)
    assert box.name != removed["name"]
    assert processes(fresh.home.path / "sandboxes" / removed["name"]) == []
    assert any("sleep" in each for each in processes(box))
    assert fresh.json("clean") == []

    assert fresh.json("cancel", "living")["status"] == "cancelled"
    watching.communicate(timeout=60)
    assert boxes(fresh) == []
    assert processes(box) == []


def kill_everything(starter: CommandLine, running: Sequence[subprocess.Popen[str]]) -> None:
    """Commands, host and server, as by a loss of power of all but the sandboxes."""
    host = starter.home.host()
    assert host is not None
    for pid in (*(each.pid for each in running), host.pid):
        os.kill(pid, signal.SIGKILL)
    for each in running:
        each.communicate()


async def _connected(starter: CommandLine) -> Client:
    """To the server that is being started again."""
    while True:
        if host := starter.home.host():
            with suppress(ServerError):
                return await connect(host.address)
        await asyncio.sleep(0.1)


async def terminate(starter: CommandLine, workflow_id: str) -> None:
    client = await _connected(starter)
    await client.get_workflow_handle(workflow_id).terminate()

"""The command line, as a person and as a program use it."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from perdure.hosting.ports import free_port
from perdure.testing.process import ScriptedModelProcess
from perdure.testing.replies import call, calls, finish, slow
from perdure.testing.script import Attempts
from tests.command_line import STARTER, CommandLine, environment_for, until

SCRIPT: dict[str, Sequence[Attempts]] = {
    "greet": [finish("Hello \x1b[31mthere")],
    "write": [
        calls(call("write_file", path="note.txt", content="kept"), say="I write it down."),
        call("read_file", path="note.txt"),
        finish("It says: kept"),
    ],
    "ponder": [call("list_files"), slow(2, call("list_files")), finish("pondered")],
    "sleep": [call("wait", seconds=600), finish("woken")],
    "organize": [
        call("assign", tasks=[{"id": "hail", "task": "Please salute.", "to": "reviewer"}]),
        call("wait_for_tasks"),
        finish("It is done"),
    ],
    "salute": [call("list_files"), finish("ahoy")],
    "fail": [],
}


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModelProcess]:
    with ScriptedModelProcess(SCRIPT) as model:
        yield model


@pytest.fixture(scope="module")
def environment(model: ScriptedModelProcess) -> dict[str, str]:
    return environment_for(model.url)


@pytest.fixture(scope="module")
def starter(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]
) -> Iterator[CommandLine]:
    """The command line of one home, kept up so that each test need not start the parts."""
    home = tmp_path_factory.mktemp("home")
    starter = CommandLine(home, environment | {"PERDURE_HOME": str(home)})
    up = starter.begin("up")
    until(lambda: starter.home.host() is not None)
    yield starter
    up.send_signal(signal.SIGINT)
    up.communicate()
    assert up.returncode == 130
    starter("down")  # a test that failed may have left a detached run
    until(lambda: not starter.home.has_host)


@pytest.fixture
def fresh(tmp_path: Path, environment: dict[str, str]) -> Iterator[CommandLine]:
    """The command line of a home in which nothing has happened."""
    port = {"PERDURE_HOME": str(tmp_path / "home"), "PERDURE_PORT": str(free_port())}
    starter = CommandLine(tmp_path / "home", environment | port)
    yield starter
    if starter.home.has_host:
        starter("down")


# Running


def test_the_answer_goes_to_output_and_the_steps_to_errors(starter: CommandLine) -> None:
    """A shell pipe gets the answer alone; a person sees thought, call, result and the Web UI."""
    done = starter("run", "Please write.")
    assert (done.returncode, done.stdout) == (0, "It says: kept\n")
    host = starter.home.host()
    assert host is not None
    assert f"{host.ui_url}/namespaces/default/workflows/agent-" in done.stderr
    for sign in ("I write it down.", "→ write_file", "← kept", "completed after 3 steps"):
        assert sign in done.stderr


def test_a_program_gets_the_whole_result(starter: CommandLine) -> None:
    """With --json the output is one object with the run's id, status and answer."""
    done = starter.json("run", "Please write.", "--id", "for-a-program")
    assert done["id"] == "agent-for-a-program"
    assert (done["status"], done["answer"], done["steps"]) == ("completed", "It says: kept", 3)


def test_a_model_cannot_control_the_terminal(starter: CommandLine) -> None:
    """Escape sequences in an answer are printed, not obeyed."""
    done = starter("run", "Please greet.")
    assert done.stdout == "Hello \\x1b[31mthere\n"
    assert "\x1b" not in done.stderr


def test_a_run_that_does_not_complete_ends_with_one(starter: CommandLine) -> None:
    """The exit code says so, and the last lines say why."""
    done = starter("run", "Please fail.")
    assert done.returncode == 1
    assert "failed after 0 steps" in done.stderr


def test_a_limit_ends_the_run_otherwise(starter: CommandLine) -> None:
    """Running out of steps is not completing."""
    done = starter.json("run", "Please write.", "--max-steps", "1")
    assert done["status"] == "out_of_steps"


def test_an_id_names_one_run_for_ever(starter: CommandLine) -> None:
    """A second run of the same id is refused in a sentence."""
    starter("run", "Please greet.", "--id", "once")
    done = starter("run", "Please greet.", "--id", "agent-once")
    assert done.returncode == 2
    assert "agent-once" in done.stderr
    assert "is taken" in done.stderr


def test_a_run_can_be_paused_and_told_and_resumed(starter: CommandLine) -> None:
    """Each command answers with the run's state, and the run goes on to its end."""
    starter("run", "Please sleep.", "--detach", "--id", "held")
    until(lambda: starter.json("list", "--status", "waiting") != [])
    for command in (["pause", "held"], ["tell", "held", "wake up"], ["resume", "held"]):
        assert starter(*command).returncode == 0
    assert starter("watch", "held").stdout == "woken\n"


def test_a_detached_run_is_watched_and_cancelled_later(starter: CommandLine) -> None:
    """The run's id comes back at once; other commands take it from there."""
    begun = starter("run", "Please sleep.", "--detach", "--id", "later")
    assert (begun.returncode, begun.stdout) == (0, "agent-later\n")
    until(lambda: starter.json("list", "--status", "waiting") != [])
    cancelled = starter.json("cancel", "later")
    assert cancelled["status"] == "cancelled"
    watched = starter("watch", "later")
    assert watched.returncode == 1
    assert "cancelled after 1 step" in watched.stderr
    assert starter("tell", "later", "wake up").returncode == 2


# Teams


def test_the_answer_of_a_team_goes_to_output(starter: CommandLine) -> None:
    """As a run's does; the runs of its members are listed only with --all."""
    done = starter(
        *("team", "Please organize.", "--lead", "architect", "--member", "reviewer:2"),
        *("--id", "crew"),
    )
    assert (done.returncode, done.stdout) == (0, "It is done\n")
    assert "http://127.0.0.1" in done.stderr
    assert "workflows/team-crew" in done.stderr
    tops = {run["id"]: run for run in starter.json("list")}
    assert tops["team-crew"]["status"] == "completed"
    assert not any(id.startswith("team-crew.") for id in tops)
    every = {run["id"] for run in starter.json("list", "--all")}
    assert {"team-crew", "team-crew.architect.1", "team-crew.reviewer-1.1"} <= every
    assert "ahoy" in starter("show", "team-crew.reviewer-1.1").stdout
    assert "reviewer-1" in starter("show", "team-crew", "--graph").stdout


@pytest.mark.slow
def test_a_team_can_be_paused_and_told_and_resumed(starter: CommandLine) -> None:
    """The same commands serve a team and the run of a member; its lead reads what it is told."""
    begun = starter("team", "Please sleep.", "--detach", "--id", "held")
    assert (begun.returncode, begun.stdout) == (0, "team-held\n")
    until(lambda: "team-held.architect.1" in _waiting(starter))
    for command in (
        ["pause", "team-held"],
        ["resume", "team-held"],
        ["pause", "team-held.architect.1"],
        ["resume", "team-held.architect.1"],
        ["tell", "team-held", "wake up"],
    ):
        done = starter(*command)
        assert done.returncode == 0, done.stderr
    assert starter("watch", "team-held").stdout == "woken\n"


def _waiting(starter: CommandLine) -> list[str]:
    return [run["id"] for run in starter.json("list", "--all", "--status", "waiting")]


# Reading


def test_a_transcript_is_shown_whole(starter: CommandLine) -> None:
    """`show` tells the run from its task to its answer, without starting anything."""
    starter("run", "Please write.", "--id", "told")
    shown = starter("show", "told").stdout
    for sign in ("task: Please write.", "I write it down.", "← kept", "It says: kept"):
        assert sign in shown
    told = starter.json("show", "told")
    assert told["status"] == "completed"
    assert [row["type"] for row in told["transcript"]].count("Turn") == 3


def test_runs_are_listed_with_status_steps_and_cost(starter: CommandLine) -> None:
    """The list is newest first and can be asked for one status."""
    starter("run", "Please greet.", "--id", "listed")
    newest = starter.json("list", "--limit", "1")[0]
    assert (newest["id"], newest["status"], newest["steps"]) == ("agent-listed", "completed", 1)
    assert newest["usage"]["input_tokens"] > 0
    assert "agent-listed" in starter("list", "--status", "completed").stdout
    assert "agent-listed" not in starter("list", "--status", "failed").stdout


def test_a_fresh_home_has_no_runs_and_stays_untouched(fresh: CommandLine) -> None:
    """Commands that only read neither start nor make anything."""
    assert fresh.json("list") == []
    done = fresh("show", "nothing")
    assert done.returncode != 0
    assert "No run has been recorded" in done.stderr
    assert not fresh.home.path.exists()


def test_the_ready_made_agents_are_listed(fresh: CommandLine) -> None:
    """Each with its name and what it does."""
    assert "assistant" in [agent["name"] for agent in fresh.json("agents")]
    assert "assistant" in fresh("agents").stdout


def test_the_ready_made_teams_are_listed(fresh: CommandLine) -> None:
    """Each with its lead, its members and what it does; one's own are found as agents are."""
    folder = fresh.home.path / "teams"
    folder.mkdir(parents=True)
    (folder / "duo.md").write_text("---\nlead: coder\nmembers: [reviewer:3]\n---\n")
    known = {team["name"]: team for team in fresh.json("teams")}
    assert {"software", "research", "duo"} <= known.keys()
    assert known["software"]["lead"]["agent"] == "architect"
    listed = fresh("teams").stdout
    for words in ("software", "2 developer, 1 reviewer, 1 deployer", "3 reviewer"):
        assert words in listed


def test_the_doctor_names_each_part(fresh: CommandLine) -> None:
    """Version and place of what is here; exit code 0 when nothing is missing."""
    done = fresh("doctor")
    assert done.returncode == 0, done.stdout
    for part in ("python", "temporal", "server", "store", "model", "docker", "bwrap"):
        assert part in done.stdout


def test_the_doctor_says_how_to_cure(fresh: CommandLine, environment: dict[str, str]) -> None:
    """A part that is missing comes with what to do, and exit code 1."""
    sick = environment | {"TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}"}
    done = CommandLine(fresh.home.path, sick)("doctor")
    assert done.returncode == 1
    assert "correct TEMPORAL_ADDRESS" in done.stderr


def test_the_doctor_wants_some_sandbox(fresh: CommandLine, environment: dict[str, str]) -> None:
    """Docker is no loss while bubblewrap works; without either both cures are told."""
    no_docker = environment | {"DOCKER_HOST": "unix:///nowhere"}
    done = CommandLine(fresh.home.path, no_docker)("doctor")
    assert (done.returncode, "absent" in done.stdout) == (0, True)
    done = CommandLine(fresh.home.path, no_docker | {"PATH": "/nowhere"})("doctor")
    assert done.returncode == 1
    for cure in ("sandbox: docker: No Docker engine answers", "`apt install bubblewrap`"):
        assert cure in done.stderr


# What is refused


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "x", "--agent", "assistent"], "Did you mean 'assistant'?"),
        (["run", "x", "--workspace", "/nowhere/at/all"], "'/nowhere/at/all' does not exist"),
        (["run", "x", "--id", "a/b"], "'a/b' cannot be used"),
        (["run", "x", "--id", "team-a"], "'team-a' must begin with 'agent-'"),
        (["run", "x", "--max-steps", "0"], "max_steps cannot be 0"),
        (["run", "x", "--max-cost", "-1"], "max_cost_usd cannot be -1"),
        (["run", "x", "--output-schema", "/nowhere.json"], "'/nowhere.json' cannot be read"),
        (["run", ""], "task cannot be ''"),
        (["run", "x", "--sandbox", "podman"], "should be 'auto', 'docker', 'bwrap' or 'none'"),
        (["run", "x", "--head", "nowhere"], "head cannot be 'nowhere'"),
        (["team", "x", "--team", "sofware"], "Did you mean 'software'?"),
        (["team", "x", "--team", "software", "--lead", "coder"], "Give one or the other"),
        (["team", "x", "--member", "coder:2"], "a lead and members. Give both"),
        (["team", "x", "--lead", "coder", "--member", "reviewer:x"], "'reviewer:x' is not NAME"),
        (["team", "x", "--lead", "coder", "--member", "coder"], "are called 'coder'"),
        (["team", "x", "--lead", "codr", "--member", "reviewer"], "Did you mean 'coder'?"),
        (["team", "x", "--strategy", "all"], "strategy cannot be 'all'"),
        (["team", "x", "--max-restarts", "-1"], "max_restarts cannot be -1"),
        (["team", "x", "--max-steps", "0"], "max_steps cannot be 0"),
        (["team", "x", "--id", "agent-a"], "'agent-a' must begin with 'team-'"),
        (["team", ""], "goal cannot be ''"),
        (["team"], "GOAL"),
        (["tell", "x", ""], "text cannot be ''"),
        (["list", "--status", "bogus"], "Status 'bogus' is unknown"),
        (["run"], "TASK"),
        (["dance"], "dance"),
    ],
)
def test_a_wrong_command_line_ends_with_two(
    fresh: CommandLine, arguments: list[str], words: str
) -> None:
    """A sentence on standard error names the value; nothing is started for it."""
    done = fresh(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    plain = " ".join(done.stderr.replace("│", " ").split())
    assert words in plain
    assert "Traceback" not in done.stderr
    assert not fresh.home.path.exists()


@pytest.mark.parametrize("command", ["watch", "show", "cancel", "pause", "files", "diff"])
def test_an_unknown_run_ends_with_two(starter: CommandLine, command: str) -> None:
    """Whichever command is asked for it."""
    done = starter(command, "never-started")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_home_that_cannot_be_written_is_named(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """The error names the directory and the variable that changes it."""
    (tmp_path / "file").touch()
    home = tmp_path / "file" / "home"
    done = CommandLine(home, environment | {"PERDURE_HOME": str(home)})("run", "x")
    assert done.returncode == 1
    assert f"{home} cannot be written" in done.stderr


def test_help_is_quick_because_it_loads_no_sdk(environment: dict[str, str]) -> None:
    """Looking something up does not wait for what only a run needs."""
    program = (
        "import sys, starter\n"
        "try: starter.app(['--help'])\n"
        "except SystemExit: pass\n"
        "print({'openai', 'sqlalchemy', 'temporalio', 'pydantic'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=STARTER.parent,
        env=environment,
    )
    assert done.stdout.endswith("set()\n")
    assert "cancel" in done.stdout


# What is interrupted


@pytest.mark.slow
def test_ctrl_c_keeps_the_run_and_watch_goes_on_with_it(
    fresh: CommandLine, model: ScriptedModelProcess
) -> None:
    """The command ends with 130 and says how to go on; nothing stays behind."""
    running = fresh.begin("run", "Please ponder A.", "--id", "a")
    until(lambda: model.served("ponder A") >= 1)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "`starter.py watch agent-a` goes on with it" in errors
    until(lambda: not fresh.home.has_host)
    assert [run["status"] for run in fresh.json("list")] == ["suspended"]
    assert fresh("watch", "a").stdout == "pondered\n"


def _stored_turns(starter: CommandLine) -> int:
    """How many replies the store has committed."""
    try:
        with closing(
            sqlite3.connect(f"file:{starter.home.path}/store.db?mode=ro", uri=True)
        ) as store:
            count: int = store.execute("SELECT count(*) FROM turn").fetchone()[0]
    except sqlite3.OperationalError:  # neither file nor table is there yet
        return 0
    return count


def test_kill_of_everything_loses_nothing(fresh: CommandLine, model: ScriptedModelProcess) -> None:
    """After kill -9 of command, host and server the run goes on, and no reply is paid twice."""
    running = fresh.begin("run", "Please ponder B.", "--id", "b")
    until(lambda: _stored_turns(fresh) == 1)
    host = fresh.home.host()
    assert host is not None
    for pid in (running.pid, host.pid):
        os.kill(pid, signal.SIGKILL)
    running.communicate()
    done = fresh("watch", "b")
    assert (done.returncode, done.stdout) == (0, "pondered\n")
    assert model.served("ponder B", place=0) == 1

"""A command under its supervisor: its output, its limits, and that nothing of it is left."""

import fcntl
import os
import signal
import time
from pathlib import Path

import pytest

from tests.sandbox.supervised import Box

ENDLESS = "while :; do sleep 1; done"


@pytest.fixture(params=["none", "bwrap"])
def box(tmp_path: Path, request: pytest.FixtureRequest) -> Box:
    """A sandbox of either kind that a host has."""
    return Box(tmp_path, request.param)


def grows(file: Path) -> bool:
    """Whether something goes on writing to this file."""
    before = file.stat().st_size
    time.sleep(0.4)
    return file.stat().st_size > before


def test_a_command_gives_its_output_and_its_exit_code(box: Box) -> None:
    """Standard output and error come in the order in which they were printed."""
    ended = box.run("echo one; echo two >&2; echo three; exit 3")

    assert ended.text == "one\ntwo\nthree\n"
    assert (ended.code, ended.ended, ended.header["total"]) == (3, "exit", 14)


def test_a_command_reads_its_standard_input(box: Box) -> None:
    """Input that is larger than any pipe arrives, and ends."""
    assert box.run("wc -c", stdin=b"x" * 3_000_000).text.strip() == "3000000"


def test_a_command_without_input_finds_it_empty(box: Box) -> None:
    """Nothing waits for a terminal."""
    assert box.run("cat; echo over").text == "over\n"


def test_a_command_has_the_given_variables_and_no_others(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key in the worker's environment is nowhere to be found, not in other processes' either."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")

    ended = box.run("env; cat /proc/$$/environ /proc/1/environ", environment={"MORE": "1"})

    assert "BOX=yes" in ended.text and "MORE=1" in ended.text
    assert "sk-secret" not in ended.text


def test_a_command_has_only_its_standard_files_open(box: Box) -> None:
    """No descriptor of the supervisor or of the server is inherited: the fourth is of `ls`."""
    assert box.run("ls /proc/self/fd").text.split() == ["0", "1", "2", "3"]


def test_a_command_may_open_its_output_by_name(box: Box) -> None:
    """Scripts write to /dev/stderr."""
    assert box.run("echo said > /dev/stderr").text == "said\n"


def test_a_broken_pipe_ends_a_program(box: Box) -> None:
    """What Python ignores is not ignored by the programs that it starts."""
    assert box.run("yes | head -n 1", seconds=5).text == "y\n"


def test_of_much_output_the_beginning_and_the_end_are_kept(box: Box) -> None:
    """Half of what is allowed from either end; all of it is counted."""
    ended = box.run("echo begin; yes | head -c 300000000; echo end", output_bytes=2000)

    assert len(ended.data) == 2000 and ended.header["head"] == 1000
    assert ended.data.startswith(b"begin\n") and ended.data.endswith(b"end\n")
    assert ended.header["total"] == 300_000_000 + 10


def test_output_can_be_read_while_it_is_printed(box: Box) -> None:
    """The file grows before the command ends."""
    running = box.begin(f"echo early; {ENDLESS}")
    running.until_printed(b"early")
    os.kill(running.pid, signal.SIGTERM)

    assert running.wait().ended == "stopped"


def test_the_lock_is_held_until_the_result_is_there(box: Box) -> None:
    """Whoever gets the lock finds the result."""
    running = box.begin("sleep 0.3; echo done")
    with (running.folder / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert (running.folder / "result").exists()
    running.wait()


def test_a_command_that_takes_too_long_is_ended(box: Box) -> None:
    """It is asked first, and that is enough for most."""
    ended = box.run("sleep 30", seconds=0.3)

    assert ended.ended == "time" and ended.took < 1.2


def test_nothing_outlives_the_time_out(box: Box) -> None:
    """Not even a daemon in a session of its own that ignores the request."""
    stubborn = "trap '' TERM; while :; do echo x >> grown; sleep 0.05; done"
    ended = box.run(f'setsid sh -c "{stubborn}" & trap "" TERM; {ENDLESS}', seconds=0.5)

    assert ended.ended == "time" and ended.took < 4
    assert not grows(box.workspace / "grown")


def test_a_command_may_tidy_up_when_its_time_is_over(box: Box) -> None:
    """Between the request and the end there is a second."""
    ended = box.run(f"trap 'echo tidied; exit 0' TERM; {ENDLESS}", seconds=0.3)

    assert ended.ended == "time" and "tidied" in ended.text


def test_a_stopped_process_is_ended_too(box: Box) -> None:
    """SIGSTOP to itself does not keep a command for ever."""
    assert box.run("kill -STOP $$; echo no", seconds=0.3).ended == "time"


def test_background_processes_end_with_the_command(box: Box) -> None:
    """They must not go on into the next step."""
    ended = box.run(
        "setsid sh -c 'while :; do echo x >> grown; sleep 0.05; done' >/dev/null 2>&1 &"
        "while [ ! -e grown ]; do sleep 0.02; done"
    )

    assert ended.ended == "exit" and ended.code == 0
    assert not grows(box.workspace / "grown")


def test_a_background_process_that_holds_the_output_is_not_waited_for(box: Box) -> None:
    """A fifth of a second of quiet is enough."""
    ended = box.run("sleep 30 & echo done")

    assert ended.text == "done\n" and ended.took < 2


def test_what_is_stopped_is_gone_when_the_result_is_there(box: Box) -> None:
    """SIGTERM to the supervisor ends the whole tree."""
    running = box.begin(
        "(while :; do echo x >> grown; sleep 0.05; done) &"
        "while [ ! -e grown ]; do sleep 0.02; done; echo on; wait"
    )
    running.until_printed(b"on\n")
    os.kill(running.pid, signal.SIGTERM)

    assert running.wait().ended == "stopped"
    assert not grows(box.workspace / "grown")


def test_too_much_memory_is_reported(box: Box) -> None:
    """As such, and not as a signal from nowhere."""
    ended = box.run("python3 -c 'x = bytearray(1 << 30); input()'; sleep 30")

    assert ended.ended == "memory"


def test_memory_that_processes_share_counts_once(box: Box) -> None:
    """Ten children that look at one large object are within the limit."""
    ended = box.run(
        "python3 -c 'import os, time\n"
        "x = bytearray(100 << 20)\n"
        "any(os.fork() == 0 for _ in range(9))\n"
        "time.sleep(0.5)'"
    )

    assert ended.ended == "exit"


def test_too_many_processes_are_reported_and_none_is_left(box: Box) -> None:
    """A fork bomb that is bounded, for the machine's sake, at 256 shells."""
    bomb = "b() { [ $1 -gt 0 ] && { b $(($1-1)) | b $(($1-1)) & }; sleep 77.7; }; b 7"
    ended = box.run(bomb)

    assert ended.ended == "processes" and ended.took < 10
    assert not [pid for pid in Path("/proc").glob("[0-9]*") if b"77.7" in command_line(pid)]


def command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def test_a_workspace_that_grows_too_large_is_reported(box: Box) -> None:
    """Several files that are each within the limit are not, together."""
    ended = box.run("for i in 1 2 3; do head -c 40000000 /dev/zero > $i; done; sleep 30")

    assert ended.ended == "disk"


def test_a_file_that_is_too_long_is_reported(box: Box) -> None:
    """The kernel ends what writes beyond the limit."""
    assert box.run(["dd", "if=/dev/zero", "of=long", "bs=1M", "count=100"]).ended == "disk"


def test_many_small_commands_cannot_exceed_the_disk(box: Box) -> None:
    """None of them is too large; what they leave together is, whoever else uses the disk."""
    ends = [box.run(f"head -c 15000000 /dev/zero > {n}").ended for n in range(10)]

    assert ends[0] == "exit" and "disk" in ends


def test_files_that_were_deleted_but_are_open_count(box: Box) -> None:
    """What no listing shows still fills the disk."""
    ended = box.run(
        "python3 -c 'import os, time\n"
        'files = [open(str(n), "wb") for n in range(3)]\n'
        "for n, file in enumerate(files): os.unlink(str(n)); file.write(bytes(40_000_000))\n"
        "time.sleep(30)'"
    )

    assert ended.ended == "disk"


def test_empty_files_count(box: Box) -> None:
    """Each takes an inode: as many as the limit has blocks are the end."""
    ended = box.run(
        "python3 -c 'import time\n"
        'for n in range(40_000): open(str(n), "w").close()\n'
        "time.sleep(30)'"
    )

    assert ended.ended == "disk"


def test_a_workspace_that_is_too_large_can_be_tidied_up(box: Box) -> None:
    """Only what makes it larger still is ended."""
    box.run("for i in 1 2 3; do head -c 40000000 /dev/zero > $i; done; sleep 30")
    ended = box.run("rm 1 2 3; sleep 0.5; echo tidy")

    assert (ended.ended, ended.text) == ("exit", "tidy\n")


def test_a_command_cannot_be_begun_outside_the_workspace(box: Box) -> None:
    """Neither by name nor by a link."""
    (box.workspace / "link").symlink_to("/usr")

    assert "outside the workspace" in box.run("pwd", folder="..").text
    if box.enclosure == "none":
        assert "outside the workspace" in box.run("pwd", folder="link").text


def test_a_command_begins_in_its_folder(box: Box) -> None:
    """It is relative to the workspace."""
    (box.workspace / "below").mkdir()

    assert box.run("pwd", folder="below").text.endswith("/below\n")


@pytest.mark.parametrize(
    "argv", [["no-such-program"], ["echo", "A" * 200_000], ["echo", "\0"], ["echo", "\ud800"]]
)
def test_what_cannot_be_started_says_why(box: Box, argv: list[str]) -> None:
    """In the command's output, with an exit code that is no success."""
    ended = box.run(argv)

    assert ended.code > 0 and ended.text.strip()


def test_a_killed_supervisor_takes_its_command_along(box: Box) -> None:
    """With no result written, so that it counts as lost."""
    running = box.begin("echo on; exec sh -c 'while :; do echo x >> grown; sleep 0.05; done'")
    running.until_printed(b"on")
    os.kill(running.pid, signal.SIGKILL)
    os.waitpid(running.pid, 0)
    time.sleep(0.3)

    assert not (running.folder / "result").exists()
    assert not grows(box.workspace / "grown")

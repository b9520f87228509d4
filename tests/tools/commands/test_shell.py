"""The shell, in real sandboxes."""

import asyncio
import time

import pytest

from perdure.tools.commands.shell import LONGEST_ARGUMENT, execute_shell
from tests.tools.commands.bench import Bench

END = "[exit code 0 after "
LONG = "#" * LONGEST_ARGUMENT + "\n"


async def test_a_command_runs_in_the_workspace(bench: Bench) -> None:
    """What it prints and its exit code come back, and those who watch see it live."""
    bench.write("a.txt", "hello\n")
    assert (await bench.call(execute_shell, command="cat a.txt")).startswith(f"hello\n{END}")
    assert bench.shown == b"hello\n"


async def test_an_exit_code_is_a_result(bench: Bench) -> None:
    """Whatever it is; both streams are told in order."""
    told = await bench.call(execute_shell, command="echo out; echo err >&2; exit 3")
    assert told.startswith("out\nerr\n[exit code 3 after ")


@pytest.mark.parametrize("before", ["", LONG])
async def test_it_is_bash_without_input(bench: Bench, before: str) -> None:
    """As an argument or too long for one, a command means the same."""
    command = before + "cat; [[ ab == a* ]] && cat <<'X'\n'$1' \"$@\" é\nX\necho ${BASH:+bash}"
    told = await bench.call(execute_shell, command=command)
    assert told.startswith(f"'$1' \"$@\" é\nbash\n{END}")


async def test_it_begins_in_the_folder_that_is_asked_for(bench: Bench) -> None:
    """Relative to the workspace."""
    (bench.root / "sub").mkdir()
    told = await bench.call(execute_shell, command="basename $PWD", folder="sub")
    assert told.startswith(f"sub\n{END}")


async def test_a_command_that_takes_too_long_is_an_error(bench: Bench) -> None:
    """With what it had printed; nothing that it started lives on."""
    began = time.monotonic()
    command = "echo begun; (sleep 2; touch late) & sleep 60"
    told = await bench.refusal(execute_shell, command=command, seconds=0.5)
    assert told.startswith("begun\n[timed out after ")
    assert time.monotonic() - began < 20
    await asyncio.sleep(2.2)
    assert not (bench.root / "late").exists()


async def test_a_signal_is_named(bench: Bench) -> None:
    """An exit code alone would say nothing."""
    assert "SIGSEGV" in await bench.call(execute_shell, command="kill -SEGV $$")


async def test_a_second_attempt_finds_the_outcome(bench: Bench) -> None:
    """The command is the same one each time, and runs once."""
    for _ in range(2):
        told = await bench.call(execute_shell, key="run:once", command="echo x >> log; cat log")
        assert told.startswith(f"x\n{END}")


async def test_a_command_with_nul_is_refused(bench: Bench) -> None:
    """No shell takes it."""
    assert "NUL character" in await bench.refusal(execute_shell, command="echo a\0b")


@pytest.mark.parametrize("seconds", [0, -1])
async def test_a_time_limit_is_positive(bench: Bench, seconds: int) -> None:
    """The model is told what is wrong."""
    refusal = await bench.refusal(execute_shell, command="true", seconds=seconds)
    assert "Argument 'seconds" in refusal

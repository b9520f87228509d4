"""The shell: any command, in the sandbox."""

from typing import Annotated

from pydantic import Field

from perdure.errors import ToolError
from perdure.sandbox.sandbox import Command
from perdure.tools.commands.ending import told
from perdure.tools.commands.execution import execute
from perdure.tools.tool import ToolContext, tool

Seconds = Annotated[float, Field(gt=0)]

LONGEST_ARGUMENT = 100_000
"""Bytes of a command that are passed as an argument; the kernel takes 131,071."""

_CHOOSE = 'if command -v bash >/dev/null; then exec bash -c "$0"; else exec sh -c "$0"; fi'
_FROM_INPUT = 'eval "$(cat)" </dev/null'


@tool(replay="idempotent", executes=True)
async def execute_shell(
    context: ToolContext, command: str, seconds: Seconds | None = None, folder: str = "."
) -> str:
    """Run a command with bash in the workspace; what it prints and its exit code come back.

    Each call is a new shell without a terminal and with empty input. What is still running when the
    command ends is killed.

    Args:
        seconds: Time limit, if the sandbox's own is too long.
        folder: Where to start, relative to the workspace.
    """
    if "\0" in command:
        raise ToolError("The command holds a NUL character, which no shell takes; write \\0.")
    text = command.encode()
    program, given = (command, b"") if len(text) <= LONGEST_ARGUMENT else (_FROM_INPUT, text)
    run = Command(("sh", "-c", _CHOOSE, program), given, seconds, folder=folder)
    return told(await execute(context, run))


TOOLS = (execute_shell,)

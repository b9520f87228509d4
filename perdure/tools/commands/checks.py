"""Checks of a project: its own tests and its own formatter, in the sandbox."""

import inspect
from typing import Final

from perdure.errors import ToolError
from perdure.sandbox.sandbox import Command
from perdure.tools.commands.ending import plain, told
from perdure.tools.commands.execution import execute
from perdure.tools.commands.project import choice, folder, formatters, rule, testers
from perdure.tools.commands.shell import Seconds
from perdure.tools.tool import ToolContext, tool

_MODULES = (folder, rule, testers, formatters, choice)
_PROGRAM: Final = f"""
import sys, types
for name, text in {[(each.__name__, inspect.getsource(each)) for each in _MODULES]!r}:
    sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), sys.modules[name].__dict__)
sys.modules[{choice.__name__!r}].main()
"""
# Unattended: no watching for changes, no questions, and output that is seen live.
_ENVIRONMENT: Final = {"CI": "true", "PYTHONUNBUFFERED": "1"}


@tool(replay="idempotent", executes=True)
async def run_tests(context: ToolContext, path: str = ".", seconds: Seconds | None = None) -> str:
    """Run the project's tests with its own runner (pytest, cargo, npm, go, make, ...).

    Args:
        path: A file or folder of tests, or one project of several.
        seconds: Time limit, if the sandbox's own is too long.
    """
    return await _run(context, "test", path, seconds)


@tool(replay="idempotent", executes=True)
async def format_code(context: ToolContext, path: str = ".", seconds: Seconds | None = None) -> str:
    """Format the project's code with its own formatter (ruff, black, cargo, prettier, gofmt, ...).

    Args:
        path: A file or folder.
        seconds: Time limit, if the sandbox's own is too long.
    """
    return await _run(context, "format", path, seconds)


async def _run(context: ToolContext, purpose: str, path: str, seconds: float | None) -> str:
    if "\0" in path:
        raise ToolError(f"Path {path!r} contains a character that no file name can hold.")
    # Isolated: a module of the workspace must not take the place of one of Python's own.
    argv = ("python3", "-I", "-c", _PROGRAM, purpose, path)
    outcome = await execute(context, Command(argv, b"", seconds, _ENVIRONMENT))
    if outcome.code == choice.REFUSED and not outcome.head.startswith(b"["):
        raise ToolError(plain(outcome.head + outcome.tail).strip())
    return told(outcome)


TOOLS = (run_tests, format_code)

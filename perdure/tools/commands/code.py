"""Code: Python that the model has just written, in the sandbox."""

from perdure.sandbox.sandbox import Command
from perdure.tools.commands.ending import told
from perdure.tools.commands.execution import execute
from perdure.tools.commands.shell import Seconds
from perdure.tools.tool import ToolContext, tool

# Not `python3 -`: its tracebacks do not show the lines, and its input is not empty. What this
# program has defined itself is gone, but for its one frame, before the code begins.
_PROGRAM = """
def _run():
    import linecache, os, sys, traceback, types
    source = sys.stdin.buffer.read()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    lines = source.decode(errors="replace").splitlines(True)
    linecache.cache["<code>"] = (len(source), None, lines, "<code>")
    def show(kind, error, trace):
        traceback.print_exception(kind, error, trace and trace.tb_next and trace.tb_next.tb_next)
    sys.excepthook = show
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    exec(compile(source, "<code>", "exec"), main.__dict__)
_run()
"""


@tool(replay="idempotent", executes=True)
async def run_python(
    context: ToolContext, code: str, seconds: Seconds | None = None, folder: str = "."
) -> str:
    """Run a Python program in the workspace; what it prints and its exit code come back.

    Nothing is shown that is not printed, and no variable is kept for the next call.

    Args:
        seconds: Time limit, if the sandbox's own is too long.
        folder: Where to start, relative to the workspace; modules there can be imported.
    """
    # Unbuffered, so that output is seen live, and not lost when a limit ends the program.
    environment = {"PYTHONUNBUFFERED": "1"}
    command = Command(("python3", "-c", _PROGRAM), code.encode(), seconds, environment, folder)
    return told(await execute(context, command))


TOOLS = (run_python,)

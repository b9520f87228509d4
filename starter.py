"""Command line: run agents, watch them, and look at what they did."""

import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perdure.errors import PerdureError, ServerError, UnknownAgent, UnknownRun, WorkspaceError

# Everything that takes long to import is imported by the commands that need it.
if TYPE_CHECKING:
    from temporalio.client import Client

    from perdure.agents import Agents
    from perdure.contracts import AgentRequest, AgentResult
    from perdure.follow import Feed
    from perdure.parts import Parts
    from perdure.settings import Settings

APPLICATION = Path(__file__).resolve().parent
COMPLETED, ENDED_OTHERWISE, WRONG_COMMAND_LINE, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    help="Run language-model agents that last: what crashes goes on where it was.",
    epilog="Exit codes: 0 completed, 1 ended otherwise, 2 wrong command line, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RunId = Annotated[str, typer.Argument(metavar="ID", help="The run's id, as `list` shows it.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


@app.command()
def run(
    task: Annotated[str, typer.Argument(help="What the agent is to do.")],
    agent: Annotated[
        str, typer.Option(help="A ready-made agent (see `agents`), or a file ending in .md.")
    ] = "assistant",
    model: Annotated[str | None, typer.Option(help="The model; the agent's own by default.")] = None,
    workspace: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Its files are copied for the agent.")
    ] = None,
    max_steps: Annotated[int | None, typer.Option(min=1)] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1)] = None,
    max_cost: Annotated[float | None, typer.Option(metavar="USD")] = None,
    max_minutes: Annotated[float | None, typer.Option()] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Start it, print its id, and leave it running.")
    ] = False,
    id: Annotated[str | None, typer.Option(help="The run's id; a random one by default.")] = None,
    head: Annotated[
        str | None, typer.Option(metavar="TURN", help="Continue from this turn of an earlier run.")
    ] = None,
    conversation: Annotated[str | None, typer.Option(help="Id to find the run by.")] = None,
    user: Annotated[str | None, typer.Option(help="Id to find the run by.")] = None,
    output_schema: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON Schema of the answer.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run an agent on TASK and print its answer.

    Ctrl-C leaves the run as it is; `watch ID` goes on with it.
    """
    from perdure.settings import Settings

    settings = Settings.load()
    request = _request(
        task=task,
        agent=_agents(settings).load(agent),
        model=model,
        limits={
            "max_steps": max_steps,
            "max_tokens": max_tokens,
            "max_cost_usd": max_cost,
            "max_minutes": max_minutes,
        },
        head=head,
        conversation=conversation,
        user=user,
        workspace=_folder(workspace),
        output_schema=_schema(output_schema),
    )
    _carry_out(_run(settings, request, _run_id(id), detach=detach, as_json=as_json))


async def _run(
    settings: "Settings", request: "AgentRequest", run_id: str, *, detach: bool, as_json: bool
) -> int:
    async with _parts(settings) as parts:
        if detach and parts.host:
            from perdure.home import Home

            Home(settings.home).detach(run_id)
        await _start(parts.client, request, run_id)
        if not detach:
            return await _follow(settings, parts, run_id, as_json=as_json)
        _say(f"Detached; `starter.py watch {run_id}` shows how it goes.")
        started = {"id": run_id, "status": "running", "web_ui": _web_ui(parts, run_id)}
        _print(started, as_json=as_json, text=run_id)
        return COMPLETED


async def _start(client: "Client", request: "AgentRequest", run_id: str) -> None:
    from temporalio.common import WorkflowIDReusePolicy
    from temporalio.exceptions import WorkflowAlreadyStartedError

    from perdure.attributes import of_request
    from perdure.contracts import TASK_QUEUE
    from perdure.display import preview
    from workflows.agent import AgentWorkflow

    try:
        await client.start_workflow(
            AgentWorkflow.run,
            request,
            id=run_id,
            task_queue=TASK_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            search_attributes=of_request(request),
            static_summary=preview(request.task, 90),
            static_details=request.task[:4000],
        )
    except WorkflowAlreadyStartedError as error:
        message = (
            f"Run id '{run_id}' is taken. Choose another --id, or follow that run with"
            f" `starter.py watch {run_id}`."
        )
        raise typer.BadParameter(message) from error


@app.command()
def watch(id: RunId, as_json: Json = False) -> None:
    """Go on with a run, show its steps and print its answer."""
    from perdure.settings import Settings

    _carry_out(_watch(Settings.load(), _run_id(id), as_json=as_json))


async def _watch(settings: "Settings", run_id: str, *, as_json: bool) -> int:
    async with _parts(settings) as parts:
        return await _follow(settings, parts, run_id, as_json=as_json)


@app.command()
def cancel(id: RunId, as_json: Json = False) -> None:
    """Cancel a run and wait until it has ended."""
    from perdure.settings import Settings

    _carry_out(_cancel(Settings.load(), _run_id(id), as_json=as_json))


async def _cancel(settings: "Settings", run_id: str, *, as_json: bool) -> int:
    async with _parts(settings) as parts:
        await parts.client.get_workflow_handle(run_id).cancel()
        return await _follow(settings, parts, run_id, as_json=as_json, wanted="cancelled")


@app.command()
def show(id: RunId, as_json: Json = False) -> None:
    """Print a run's transcript; with --json the whole of it."""
    from perdure.settings import Settings

    _carry_out(_show(Settings.load(), _run_id(id), as_json=as_json))


async def _show(settings: "Settings", run_id: str, *, as_json: bool) -> int:
    from perdure.contracts import AgentResult
    from perdure.display import Transcript, ending, heading, results, to_json
    from perdure.standing import reachable, standings
    from perdure.store.reader import reading

    async with reading(settings) as store:
        found = await store.find_run(run_id)
        rows = await store.news(found.id, None)
    [status] = await standings([found], await reachable(settings))
    console = results()
    if as_json:
        transcript = [{"type": type(row).__name__, **row.model_dump()} for row in rows]
        print(to_json({"run": found.model_dump(), "status": status, "transcript": transcript}))
        return COMPLETED
    console.print(heading(found, status), style="bold", soft_wrap=True)
    reader = Transcript(console, whole=True)
    for row in rows:
        reader.show(row)
    if found.result is not None:
        result = AgentResult.model_validate(found.result)
        console.print(ending(result), soft_wrap=True)
        console.print(_answer(result), soft_wrap=True)
    return COMPLETED


@app.command("list")
def list_runs(
    status: Annotated[str | None, typer.Option(help="Only runs that stand so.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many of the newest runs.")] = 50,
    as_json: Json = False,
) -> None:
    """List the runs: status, agent, steps and cost. Starts nothing."""
    from perdure.settings import Settings

    _carry_out(_list(Settings.load(), status, limit, as_json=as_json))


async def _list(settings: "Settings", wanted: str | None, limit: int, *, as_json: bool) -> int:
    from perdure.display import overview, results, to_json
    from perdure.standing import listing

    rows = [row for row in await listing(settings, limit) if wanted in {None, row.status}]
    if as_json:
        print(to_json([row.to_dict() for row in rows]))
    else:
        results().print(overview(rows))
    return COMPLETED


@app.command()
def tell(id: RunId, text: Annotated[str, typer.Argument(help="What the agent is told.")]) -> None:
    """Send a message to a running agent, which reads it before its next step."""
    from perdure.contracts import Message
    from workflows.agent import AgentWorkflow

    _carry_out(_update(_run_id(id), AgentWorkflow.tell, Message(text=text)))


@app.command()
def pause(id: RunId) -> None:
    """Hold a run before its next step."""
    from workflows.agent import AgentWorkflow

    _carry_out(_update(_run_id(id), AgentWorkflow.pause))


@app.command()
def resume(id: RunId) -> None:
    """Let a paused run go on; `watch ID` to stay with it."""
    from workflows.agent import AgentWorkflow

    _carry_out(_update(_run_id(id), AgentWorkflow.resume))


async def _update(run_id: str, update: Any, *message: Any) -> int:
    from perdure.settings import Settings

    async with _parts(Settings.load()) as parts:
        state = await parts.client.get_workflow_handle(run_id).execute_update(update, *message)
    _say(f"{run_id}: {state.status}, {state.doing}")
    return COMPLETED


@app.command()
def up() -> None:
    """Keep the server, its Web UI and a worker running until Ctrl-C."""
    from perdure.settings import Settings

    if _carry_out(_up(Settings.load()), leave=False) == INTERRUPTED:
        _say("Ended; the runs are kept.")


async def _up(settings: "Settings") -> int:
    import asyncio

    async with _parts(settings) as parts:
        if parts.host is None:
            message = "A Temporal server is configured (TEMPORAL_*), so there is none to start here. Start `worker.py`."
            raise ServerError(message)
        _say(f"Temporal server  {parts.host.address}")
        _say(f"HTTP API         {parts.host.http_url or 'see that server'}")
        _say(f"Web UI           {parts.ui_url or 'see that server'}")
        _say("Ctrl-C ends them, unless another command or a detached run needs them.")
        while True:
            await asyncio.sleep(1)
            await parts.refresh()


@app.command()
def down() -> None:
    """Stop the server and the worker that detached runs keep; the next command goes on with them."""
    from perdure.settings import Settings

    _carry_out(_down(Settings.load()))


async def _down(settings: "Settings") -> int:
    from perdure.home import Home
    from perdure.parts import end_host

    home = Home.prepare(settings.home)
    ended = await end_host(home)
    _say(f"Stopped process {ended.pid}." if ended else "Nothing is running.")
    if waiting := home.detached():
        _say(f"The next command goes on with the detached runs: {', '.join(waiting)}.")
    return COMPLETED


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say of each part that Perdure needs whether it is here, and how to get it."""
    from perdure.settings import Settings

    _carry_out(_doctor(Settings.load(), as_json=as_json))


async def _doctor(settings: "Settings", *, as_json: bool) -> int:
    from perdure.display import findings, results, to_json
    from perdure.doctor import examine

    found = await examine(settings)
    if as_json:
        print(to_json([finding.to_dict() for finding in found]))
    else:
        results().print(findings(found))
    return COMPLETED if all(finding.found for finding in found) else ENDED_OTHERWISE


@app.command()
def agents(as_json: Json = False) -> None:
    """List the ready-made agents."""
    from perdure.display import results, table, to_json
    from perdure.settings import Settings

    known = _agents(Settings.load()).all()
    if as_json:
        print(to_json([spec.model_dump(mode="json") for spec in known]))
        return
    rows = [(spec.name, spec.model or "default", spec.description) for spec in known]
    results().print(table(["agent", "model", "what it does"], rows))


def _agents(settings: "Settings") -> "Agents":
    from perdure.agents import Agents

    return Agents([APPLICATION / "agents", settings.home / "agents", Path.cwd() / "agents"])


# What the options mean


def _request(**fields: Any) -> "AgentRequest":
    from pydantic import ValidationError

    from perdure.contracts import AgentRequest

    try:
        return AgentRequest(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = "-".join(str(part) for part in first["loc"] if part != "limits")
        message = f"{field} cannot be '{first['input']}': {first['msg']}."
        raise typer.BadParameter(message) from None


def _run_id(text: str | None) -> str:
    import re
    from secrets import token_hex

    if text is None:
        return f"agent-{token_hex(4)}"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", text):
        message = f"Run id {text!r} cannot be used: letters, digits and . _ - only, up to 100 of them."
        raise typer.BadParameter(message)
    return text if text.startswith(("agent-", "team-")) else f"agent-{text}"


def _folder(workspace: Path | None) -> str | None:
    if workspace is not None and not workspace.is_dir():
        what = "is not a directory" if workspace.exists() else "does not exist"
        raise WorkspaceError(f"--workspace {workspace} {what}. Name a directory with the files.")
    return str(workspace.resolve()) if workspace else None


def _schema(file: Path | None) -> Any:
    import json

    try:
        return json.loads(file.read_text()) if file else None
    except OSError as error:
        raise typer.BadParameter(f"--output-schema {file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise typer.BadParameter(f"--output-schema {file} is not JSON: {error}.") from None


# What the commands share


@asynccontextmanager
async def _parts(settings: "Settings") -> AsyncIterator["Parts"]:
    """The server and the workers, with a warning where a run would wait or be surprised."""
    from perdure.connection import has_worker
    from perdure.home import differences
    from perdure.parts import attached, host_command

    async with attached(settings, host_command(str(APPLICATION / "worker.py"))) as parts:
        if parts.host is None:
            if not await has_worker(parts.client):
                _say("No worker serves this cluster yet: the run waits. Start `worker.py` for it.")
        elif changed := differences(parts.host):
            _say(
                f"The worker of {settings.home} runs already, with other values of"
                f" {', '.join(changed)}. End its commands, or `starter.py down`, to renew it."
            )
        if parts.host and parts.host.server == "found":
            _say(f"Using the Temporal server that answers on {parts.host.address}.")
        yield parts


async def _follow(
    settings: "Settings", parts: "Parts", run_id: str, *, as_json: bool, wanted: str = "completed"
) -> int:
    import asyncio

    from perdure.display import Transcript, ending, progress
    from perdure.follow import feed_of, follow

    address = _web_ui(parts, run_id)
    _say(f"Run {run_id}" + (f" · {address}" if address else ""))
    console = progress()
    try:
        async with feed_of(settings, run_id, _say) as feed:
            result = await follow(parts, feed, run_id, Transcript(console).show)
    except asyncio.CancelledError:
        _say(f"\nRun {run_id} is kept as it is. `starter.py watch {run_id}` goes on with it.")
        raise
    console.print(ending(result), soft_wrap=True)
    data = {"id": run_id, "web_ui": address, **result.model_dump(mode="json")}
    _print(data, as_json=as_json, text=_answer(result))
    return COMPLETED if result.status == wanted else ENDED_OTHERWISE


def _answer(result: "AgentResult") -> str:
    from perdure.display import clean

    return clean(result.answer)


def _web_ui(parts: "Parts", run_id: str) -> str | None:
    if parts.ui_url is None:
        return None
    return f"{parts.ui_url}/namespaces/{parts.client.namespace}/workflows/{run_id}"


def _say(text: str) -> None:
    from perdure.display import clean

    print(clean(text), file=sys.stderr, flush=True)


def _print(data: dict[str, Any], *, as_json: bool, text: str) -> None:
    from perdure.display import to_json

    print(to_json(data) if as_json else text, flush=True)


def _carry_out(main: Coroutine[Any, Any, int], *, leave: bool = True) -> int:
    """Run a command's asynchronous part and leave with its exit code."""
    from temporalio.client import RPCError

    from perdure.connection import run_guarded

    try:
        code = run_guarded(main)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except RPCError as error:
        raise ServerError(f"The Temporal server refused: {error.message}.") from error
    if leave:
        raise typer.Exit(code)
    return code


def main() -> None:
    try:
        app()
    except (UnknownAgent, UnknownRun, WorkspaceError) as error:
        _say(str(error))
        sys.exit(WRONG_COMMAND_LINE)
    except PerdureError as error:
        _say(str(error))
        sys.exit(ENDED_OTHERWISE)


if __name__ == "__main__":
    main()

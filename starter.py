"""Command line: run agents, watch them, and look at what they did."""

import sys
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perdure.console.parameters import (
    Detach,
    Head,
    Json,
    Label,
    MaxCost,
    MaxMinutes,
    MaxSteps,
    MaxTokens,
    NewId,
    RunId,
    Sandbox,
    Step,
    Workspace,
)
from perdure.errors import (
    PerdureError,
    ServerError,
    UnknownAgent,
    UnknownRun,
    UnknownTeam,
    WorkspaceError,
)

# Everything else takes long to import, and is imported by the commands that need it.
if TYPE_CHECKING:
    from temporalio.client import Client

    from perdure.agents import Agents
    from perdure.console.session import Session
    from perdure.contracts import AgentRequest
    from perdure.teams.contracts import TeamRequest
    from perdure.teams.files import Teams

APPLICATION = Path(__file__).resolve().parent
COMPLETED, ENDED_OTHERWISE, WRONG_COMMAND_LINE, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    help="Run language-model agents that last: after a crash a run goes on where it was.",
    epilog="Exit codes: 0 completed, 1 ended otherwise, 2 wrong command line, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def run(
    task: Annotated[str, typer.Argument(metavar="TASK", help="What the agent is to do.")],
    agent: Annotated[
        str, typer.Option(help="A ready-made agent (see `agents`), or a file ending in .md.")
    ] = "assistant",
    model: Annotated[str | None, typer.Option(help="Model to use instead of the agent's.")] = None,
    workspace: Workspace = None,
    sandbox: Sandbox = None,
    max_steps: MaxSteps = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    max_minutes: MaxMinutes = None,
    detach: Detach = False,
    id: NewId = None,
    head: Head = None,
    conversation: Label = None,
    user: Label = None,
    output_schema: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON Schema that the answer must fit.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run an agent on TASK, show its steps and print its answer.

    Ctrl-C leaves the run as it is, and `watch ID` goes on with it.
    """
    from perdure.connection import is_configured
    from perdure.console import options

    request = options.request(
        task=task,
        agent=options.agent_spec(_agents(), agent, elsewhere=is_configured()),
        model=model,
        limits=options.limits(max_steps, max_tokens, max_cost, max_minutes),
        head=head,
        conversation=conversation,
        user=user,
        workspace=options.workspace(workspace),
        sandbox=sandbox,
        output_schema=options.output_schema(output_schema),
    )
    _begin(request, options.new_id(id, options.AGENT), detach=detach, as_json=as_json)


@app.command()
def team(
    goal: Annotated[str, typer.Argument(metavar="GOAL", help="What the team is to achieve.")],
    team: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.md",
            help="A ready-made team (see `teams`) or a file; `software` by default.",
        ),
    ] = None,
    lead: Annotated[
        str | None,
        typer.Option(metavar="NAME[@MODEL]", help="The agent or file that leads."),
    ] = None,
    member: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:COUNT][@MODEL]", help="So many members; give one for each kind."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model of all for whom the team does not name one.")
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            metavar="S",
            help="Who is restarted: one_for_one (by default), one_for_all or rest_for_one.",
        ),
    ] = None,
    max_restarts: Annotated[
        int | None,
        typer.Option(metavar="N", help="One that fails more often is out; 3 by default."),
    ] = None,
    shared_workspace: Annotated[
        bool, typer.Option("--shared-workspace", help="All work on the same files.")
    ] = False,
    workspace: Workspace = None,
    sandbox: Sandbox = None,
    max_steps: MaxSteps = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    max_minutes: MaxMinutes = None,
    detach: Detach = False,
    id: NewId = None,
    head: Head = None,
    conversation: Label = None,
    user: Label = None,
    as_json: Json = False,
) -> None:
    """Let a team of agents work on GOAL, show how it stands and print its answer.

    Limits are of all members together. Ctrl-C leaves the team as it is; `watch ID` goes on.
    """
    from perdure.connection import is_configured
    from perdure.console import options
    from perdure.console.composition import Composition, changed

    composition = Composition(_teams(), _agents(), elsewhere=is_configured())
    request = options.team_request(
        goal=goal,
        team=changed(
            composition.team(team, lead, member or ()),
            strategy=strategy,
            max_restarts=max_restarts,
            shared=shared_workspace,
        ),
        model=model,
        limits=options.limits(max_steps, max_tokens, max_cost, max_minutes),
        head=head,
        conversation=conversation,
        user=user,
        workspace=options.workspace(workspace),
        sandbox=sandbox,
    )
    _begin(request, options.new_id(id, options.TEAM), detach=detach, as_json=as_json)


def _begin(
    request: "AgentRequest | TeamRequest", run_id: str, *, detach: bool, as_json: bool
) -> None:
    _carry_out(_detach(request, run_id, as_json) if detach else _run(request, run_id, as_json))


async def _run(request: "AgentRequest | TeamRequest", run_id: str, as_json: bool) -> int:
    async with _session() as session:
        await _start(session.client, request, run_id)
        return await session.follow(run_id, as_json=as_json)


async def _detach(request: "AgentRequest | TeamRequest", run_id: str, as_json: bool) -> int:
    from perdure.console.display import print_json, say

    async with _session() as session:
        with session.detaching(run_id):
            await _start(session.client, request, run_id)
        say(
            f"It goes on by itself; `starter.py watch {run_id}` shows it. {session.address(run_id)}"
        )
        if as_json:
            print_json({"id": run_id, "status": "running", "web_ui": session.address(run_id)})
        else:
            print(run_id)
    return COMPLETED


async def _start(client: "Client", request: "AgentRequest | TeamRequest", run_id: str) -> None:
    from temporalio.common import WorkflowIDReusePolicy
    from temporalio.exceptions import WorkflowAlreadyStartedError

    from perdure.attributes import of_request
    from perdure.console.display import preview
    from perdure.contracts import TASK_QUEUE

    workflow, text = _workflow(request)
    try:
        await client.start_workflow(
            workflow,
            request,
            id=run_id,
            task_queue=TASK_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            search_attributes=of_request(request),
            static_summary=preview(text, 90),
            static_details=text[:4000],
        )
    except WorkflowAlreadyStartedError:
        message = (
            f"Run id '{run_id}' is taken. Choose another --id, or see that run with"
            f" `starter.py watch {run_id}`."
        )
        raise typer.BadParameter(message) from None


def _workflow(request: "AgentRequest | TeamRequest") -> tuple[Any, str]:
    """What carries the request out, and what it is about."""
    from perdure.contracts import AgentRequest

    if isinstance(request, AgentRequest):
        from workflows.agent import AgentWorkflow

        return AgentWorkflow.run, request.task
    from workflows.team import TeamWorkflow

    return TeamWorkflow.run, request.goal


@app.command()
def watch(id: RunId, as_json: Json = False) -> None:
    """Show a run or a team until it ends, going on with it where it was left; print its answer."""
    _carry_out(_watch(_meant(id), as_json))


async def _watch(run_id: str, as_json: bool) -> int:
    from perdure.console.reports import show_ended
    from perdure.settings import Settings

    ended = await show_ended(Settings.load(), run_id, as_json=as_json)
    if ended is not None:
        return ended
    async with _session() as session:
        return await session.follow(run_id, as_json=as_json)


@app.command()
def cancel(id: RunId, as_json: Json = False) -> None:
    """Cancel a run and wait for its end; what it has done so far is kept."""
    _carry_out(_cancel(_meant(id), as_json))


async def _cancel(run_id: str, as_json: bool) -> int:
    from temporalio.service import RPCError

    from perdure.contracts import RunStatus

    async with _session() as session:
        with suppress(RPCError):  # one that has ended, or is unknown: following it tells which
            await session.client.get_workflow_handle(run_id).cancel()
        return await session.follow(run_id, as_json=as_json, wanted=RunStatus.CANCELLED)


@app.command()
def show(
    id: RunId,
    graph: Annotated[
        bool, typer.Option("--graph", help="The runs below it and their messages, as Mermaid.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print a run's transcript, or how a team stands, and the runs below it. Starts nothing."""
    from perdure.console import reports
    from perdure.settings import Settings

    settings, run_id = Settings.load(), _meant(id)
    _carry_out(
        reports.graph(settings, run_id, as_json=as_json)
        if graph
        else reports.show(settings, run_id, as_json=as_json)
    )


@app.command("list")
def list_runs(
    status: Annotated[str | None, typer.Option(help="Only runs of this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many of the newest runs.")] = 50,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that a team or another run started.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List runs and teams with status, agent, steps and cost. Starts nothing."""
    from perdure.console import options, reports
    from perdure.settings import Settings

    wanted = options.status(status)
    listed = reports.list_runs(
        Settings.load(), wanted, limit, everything=everything, as_json=as_json
    )
    _carry_out(listed)


@app.command()
def files(id: RunId, step: Step = None, as_json: Json = False) -> None:
    """List the files of a run, as they were last or after a step. Starts nothing."""
    from perdure.console import files
    from perdure.settings import Settings

    _carry_out(files.files(Settings.load(), _meant(id), step, as_json=as_json))


@app.command()
def diff(
    id: RunId,
    start: Annotated[
        int | None, typer.Option("--from", min=0, metavar="N", help="Since step N; else all.")
    ] = None,
    end: Annotated[
        int | None, typer.Option("--to", min=0, metavar="M", help="Up to step M; else the last.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print what a run has changed in its files, as git does. Starts nothing.

    `git apply` takes it unless it has files that are binary, long, or full of control characters:
    those only `pull` brings. Empty folders and permissions are remarked on, as comments.
    """
    from perdure.console import files
    from perdure.settings import Settings

    _carry_out(files.diff(Settings.load(), _meant(id), start, end, as_json=as_json))


@app.command()
def pull(
    id: RunId,
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="Where the files go; made if it is not there.")
    ],
    step: Step = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite files that have other content.")
    ] = False,
) -> None:
    """Write the files of a run into DIR. Starts nothing."""
    from perdure.console import files, options
    from perdure.settings import Settings

    target = options.directory(folder, "DIR")
    _carry_out(files.pull(Settings.load(), _meant(id), target, step, force=force))


@app.command()
def tell(
    id: RunId, text: Annotated[str, typer.Argument(metavar="TEXT", help="What the agent is told.")]
) -> None:
    """Send a message to a running agent, or a team's lead, to be read before its next step."""
    from perdure.console import options
    from workflows.agent import AgentWorkflow

    _carry_out(_update(_meant(id), "is told", AgentWorkflow.tell, options.message(text)))


@app.command()
def pause(id: RunId) -> None:
    """Hold a run before its next step."""
    from workflows.agent import AgentWorkflow

    _carry_out(_update(_meant(id), "pauses before its next step", AgentWorkflow.pause))


@app.command()
def resume(id: RunId) -> None:
    """Let a paused run go on; stay with it by `watch ID`."""
    from workflows.agent import AgentWorkflow

    _carry_out(_update(_meant(id), "goes on", AgentWorkflow.resume))


async def _update(run_id: str, done: str, update: Any, *arguments: Any) -> int:
    from temporalio.client import WorkflowUpdateFailedError
    from temporalio.service import RPCError, RPCStatusCode

    from perdure.connection import execute_update
    from perdure.console.display import say

    async with _session() as session:
        try:
            await execute_update(session.client, run_id, update, *arguments)
        except WorkflowUpdateFailedError as error:
            raise PerdureError(str(error.cause)) from error
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            message = f"Run '{run_id}' has ended, or there is none. See `starter.py list`."
            raise UnknownRun(message) from None
    say(f"{run_id} {done}.")
    return COMPLETED


@app.command()
def up() -> None:
    """Keep the server, its Web UI and a worker running until Ctrl-C."""
    _carry_out(_up())


async def _up() -> int:
    async with _session() as session:
        return await session.stay()


@app.command()
def down() -> None:
    """Stop what detached runs keep running; they go on with the next command."""
    _carry_out(_down())


async def _down() -> int:
    from perdure.console.display import say
    from perdure.hosting.home import Home
    from perdure.hosting.parts import end_host
    from perdure.settings import Settings

    home = Home.prepare(Settings.load().home)
    ended = await end_host(home)
    say(f"Stopped process {ended.pid}." if ended else "Nothing is running.")
    if waiting := home.detached():
        say(f"The next command goes on with {', '.join(waiting)}.")
    return COMPLETED


@app.command()
def clean(as_json: Json = False) -> None:
    """Remove what runs that are over left on this machine: containers, processes, files."""
    _carry_out(_clean(as_json))


async def _clean(as_json: bool) -> int:
    from perdure.console.cleaning import clean
    from perdure.settings import Settings
    from perdure.store.reader import reading
    from worker import build_sandboxes

    settings = Settings.load()
    async with _session() as session, reading(settings) as store:
        sandboxes = build_sandboxes(settings, store)
        try:
            return await clean(session.client, sandboxes, as_json=as_json)
        finally:
            await sandboxes.release()


@app.command("doctor")
def examine(as_json: Json = False) -> None:
    """Say of each part that is needed whether it is here, and how to get it."""
    from perdure.console.doctor import doctor
    from perdure.settings import Settings

    _carry_out(doctor(Settings.load(), as_json=as_json))


@app.command()
def agents(as_json: Json = False) -> None:
    """List the ready-made agents."""
    from perdure.console.display import print_json, results, table

    known = _agents().all()
    if as_json:
        print_json(known)
        return
    rows = [(spec.name, spec.model or "default", spec.description) for spec in known]
    results().print(table(["agent", "model", "what it does"], rows))


@app.command()
def teams(as_json: Json = False) -> None:
    """List the ready-made teams."""
    from perdure.console.display import print_json, results, table

    known = _teams().all()
    if as_json:
        print_json(known)
        return
    rows = [
        (
            spec.name,
            spec.lead.kind,
            ", ".join(f"{group.count} {group.kind}" for group in spec.members),
            spec.description,
        )
        for spec in known
    ]
    results().print(table(["team", "lead", "members", "what it does"], rows))


def _agents() -> "Agents":
    from perdure.agents import Agents

    return Agents(_folders("agents"))


def _teams() -> "Teams":
    from perdure.teams.files import Teams

    return Teams(_folders("teams"))


def _folders(name: str) -> list[Path]:
    from perdure.settings import Settings

    return [APPLICATION / name, Settings.load().home / name, Path.cwd() / name]


def _meant(id: str) -> str:
    """The whole id of the run that a command is about."""
    from perdure.connection import run_guarded
    from perdure.console import options
    from perdure.settings import Settings

    return run_guarded(options.run_id(Settings.load(), id))


def _session() -> "AbstractAsyncContextManager[Session]":
    from perdure.console.session import session
    from perdure.hosting.parts import host_command
    from perdure.settings import Settings

    return session(Settings.load(), host_command(str(APPLICATION / "worker.py")))


def _carry_out(main: Coroutine[Any, Any, int]) -> None:
    """Run a command's asynchronous part and leave with its exit code."""
    import logging

    from temporalio.service import RPCError, RPCStatusCode

    from perdure.connection import CORE_LOG, run_guarded

    # What it says of a server that is being restarted is of no use to the command's reader.
    logging.getLogger(CORE_LOG).setLevel(logging.CRITICAL)
    try:
        code = run_guarded(main)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except RPCError as error:
        kind = UnknownRun if error.status == RPCStatusCode.NOT_FOUND else ServerError
        raise kind(f"The Temporal server says: {error.message}.") from error
    raise typer.Exit(code)


def main() -> None:
    try:
        app()
    except (UnknownAgent, UnknownRun, UnknownTeam, WorkspaceError) as error:
        print(error, file=sys.stderr)
        sys.exit(WRONG_COMMAND_LINE)
    except PerdureError as error:
        print(error, file=sys.stderr)
        sys.exit(ENDED_OTHERWISE)


if __name__ == "__main__":
    main()

"""Following a run until Temporal says that it has ended."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import CancelledError, TerminatedError
from temporalio.service import RPCError, RPCStatusCode

from perdure.contracts import AgentResult, RunStatus
from perdure.errors import UnknownRun
from perdure.hosting.parts import Parts

Answer = TypeVar("Answer")

POLL_SECONDS = 0.3
_TEAM_WORKFLOW = "TeamWorkflow"

_PASSING = {
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,
    RPCStatusCode.RESOURCE_EXHAUSTED,
    RPCStatusCode.UNKNOWN,
}


class View(Protocol):
    """What is shown of a run while it goes on."""

    async def look(self, client: Client, *, ended: bool) -> None:
        """Show what is new; called a few times a second, and once when the run has ended."""


async def follow(parts: Parts, workflow_id: str, view: View) -> AgentResult:
    """Show the run until its end; give its result.

    What dies meanwhile is brought back: the run goes on, and so does this.
    """

    async def ask(client: Client) -> AgentResult | None:
        return await _ask(client, parts, workflow_id, view)

    while (result := await patiently(parts, workflow_id, ask)) is None:
        pass
    return result


async def _ask(client: Client, parts: Parts, workflow_id: str, view: View) -> AgentResult | None:
    """The run's result; None when another server has taken this one's place."""
    result = asyncio.ensure_future(result_of(client, workflow_id))
    try:
        while parts.client is client:
            done, _ = await asyncio.wait([result], timeout=POLL_SECONDS)
            await view.look(client, ended=bool(done))
            if done:
                return result.result()
            await parts.refresh()
    finally:
        result.cancel()
    return None


async def patiently(
    parts: Parts, workflow_id: str, ask: Callable[[Client], Awaitable[Answer]]
) -> Answer:
    """What the server answers of that run, once it does.

    Raises:
        UnknownRun: the server does not know the run.
    """
    while True:
        try:
            return await ask(parts.client)
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                raise _unknown(workflow_id) from error
            if error.status not in _PASSING:
                raise
            await parts.refresh()
            await asyncio.sleep(POLL_SECONDS)


async def runs_team(client: Client, workflow_id: str) -> bool:
    """Whether it is a team that goes by this id."""
    found = await client.get_workflow_handle(workflow_id).describe()
    return found.workflow_type == _TEAM_WORKFLOW


async def result_of(client: Client, workflow_id: str) -> AgentResult:
    """The run's result; one for a run, too, that ended without giving any."""
    handle: WorkflowHandle[Any, AgentResult] = client.get_workflow_handle(
        workflow_id, result_type=AgentResult
    )
    try:
        return await handle.result()
    except WorkflowFailureError as error:
        cause = error.cause
        status = RunStatus.CANCELLED if isinstance(cause, CancelledError) else RunStatus.FAILED
        what = "The run was terminated" if isinstance(cause, TerminatedError) else "The run failed"
        return AgentResult.of_nothing(status, f"{what}: {cause}")


def _unknown(workflow_id: str) -> UnknownRun:
    return UnknownRun(
        f"Run '{workflow_id}' is unknown to the Temporal server. `starter.py list` names the runs."
    )

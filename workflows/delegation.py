"""Runs that a run starts for a part of its task, out of its own budget."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ChildWorkflowError, FailureError, is_cancelled_exception
from temporalio.workflow import ChildWorkflowHandle, ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from perdure.attributes import of_request
    from perdure.contracts import (
        DELEGATE,
        AgentRequest,
        AgentResult,
        Argument,
        Call,
        Limits,
        Origin,
        RunStatus,
        Spent,
    )
    from perdure.teams.contracts import RollCall
    from workflows import effects
    from workflows.interruption import is_cancelled, settled
    from workflows.journal import Journal
    from workflows.outcome import Outcome
    from workflows.purse import Purse

Handle = ChildWorkflowHandle[Any, AgentResult]


class Delegation:
    """The children of one run. `child` is the workflow that they are: `AgentWorkflow.run`."""

    def __init__(self, child: Any, request: AgentRequest, journal: Journal) -> None:
        self._child = child
        self._request = request
        self._journal = journal
        self._shares: dict[str, Limits] = {}

    def purse(self) -> Purse:
        plan = self._journal.plan
        return Purse(plan.limits, self._journal.started, self._journal.spent, self._shares)

    def reserve(self, calls: Iterable[Call]) -> None:
        """Put the share of each delegation of one reply aside, before any begins.

        Those that name no share and the run itself get equal parts of what is left.
        """
        wanted = [call for call in calls if call.tool == DELEGATE and not call.problem]
        wanted = wanted[: self._journal.plan.most_children]
        equal = 1 + sum("share" not in (call.arguments or {}) for call in wanted)
        self._shares = {}
        for call in sorted(wanted, key=lambda each: "share" not in (each.arguments or {})):
            part = (call.arguments or {}).get("share")
            share = self.purse().share(part or 1 / equal, Limits(), workflow.now())
            equal -= part is None
            if share is not None:
                self._shares[call.id] = share

    async def carry_out(self, call: Call) -> Outcome:
        """Start the child and wait for its end; cancelled with the run, it ends first."""
        if problem := self._problem(call):
            return Outcome.said(call, problem, is_ok=False)
        self._journal.children += 1
        id = f"{workflow.info().workflow_id}.{self._journal.children}"
        arguments = call.arguments or {}
        request = self._wanted(call)
        try:
            starting = asyncio.create_task(
                workflow.start_child_workflow(
                    self._child,
                    request,
                    id=id,
                    parent_close_policy=ParentClosePolicy.REQUEST_CANCEL,
                    search_attributes=of_request(request),
                    static_summary=f"{arguments['agent']}: {arguments['task'][:90]}",
                )
            )
            await settled(starting)
            handle: Handle = await starting
            if is_cancelled() or not await settled(handle):
                await _cancel(handle)
            result = await handle
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            return await self._lost(call, id, error)
        finally:
            self._shares.pop(call.id, None)
        self._journal.below += Spent(steps=result.steps, usage=result.usage)
        text = f"{id} ended: {result.status}. {result.reason}".strip()
        is_ok = result.status == RunStatus.COMPLETED
        if result.head is None:  # it has come to nothing that the store would know
            return Outcome.said(call, text, is_ok=is_ok)
        return Outcome.answered(call, handle.first_execution_run_id or "", text, is_ok=is_ok)

    def _problem(self, call: Call) -> str | None:
        most = self._journal.plan.most_children
        if call.id in self._shares:
            return None
        if not most:
            return "Not carried out: this run is too deep in the tree of runs to delegate. Do it."
        left = self.purse().left(workflow.now())
        return (
            f"Not carried out: at most {most} agents work for one step of yours, each with a share"
            f" of your budget, of which {left} is left. Delegate it later, or do it yourself."
        )

    def _wanted(self, call: Call) -> AgentRequest:
        assert self._journal.head is not None
        arguments = call.arguments or {}
        above = self._request.origin
        return AgentRequest(
            task=arguments["task"],
            agent=arguments["agent"],
            limits=self._shares[call.id],
            conversation=self._request.conversation,
            user=self._request.user,
            sandbox=self._request.sandbox,
            origin=Origin(
                parent=workflow.info().workflow_id,
                depth=1 + (above.depth if above else 0),
                model=self._journal.plan.model,
                task=Argument(turn=self._journal.head, call=call.id, path=("task",)),
            ),
        )

    async def _lost(self, call: Call, id: str, error: FailureError) -> Outcome:
        """A child that could not begin, or ended without a result: what it spent is spent."""
        cause = error.cause if isinstance(error, ChildWorkflowError) else None
        calling = asyncio.create_task(effects.call_roll(RollCall(workflow_ids=(id,))))
        await settled(calling)  # what the child spent counts, also when the run is cancelled now
        for each in (await calling).present:
            self._journal.below += each.spent
        why = cause.message if isinstance(cause, FailureError) else error.message
        return Outcome.said(call, f"{id} ended without a result: {why}", is_ok=False)


async def _cancel(child: Handle) -> None:
    """Like a stranger's: the SDK takes no cancel of a child that has just been terminated."""
    with suppress(FailureError):  # it has ended already
        await workflow.get_external_workflow_handle(child.id).cancel()

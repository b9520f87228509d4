"""Calling the roll: how a team's open runs stand, by what they recorded and by what Temporal says.

It finds those that were ended without a word of their own, and those that hang.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime

from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus

from perdure.attributes import AGENT_STATUS
from perdure.connection import describe
from perdure.contracts import AgentResult, RunStatus, Spent
from perdure.store.family import Branch, Family
from perdure.store.store import Store
from perdure.store.tables import now
from perdure.teams.contracts import Present, Roll, RollCall

_AT_ONCE = 20
_SILENT_BY_RIGHT = {RunStatus.WAITING, RunStatus.PAUSED}
_UNKNOWN = "Temporal does not know its run any more."
_ENDS = {
    WorkflowExecutionStatus.TERMINATED: "Its run was terminated.",
    WorkflowExecutionStatus.CANCELED: "Its run was cancelled.",
    WorkflowExecutionStatus.TIMED_OUT: "Its run was ended by a time-out of Temporal's.",
}
_BROKEN = "Its run broke, and recorded no result; Temporal's Web UI shows why."


class RollCaller:
    """Asks one store and one Temporal server."""

    def __init__(self, store: Store, client: Client, *, began: datetime | None = None) -> None:
        """`began`: when this process did; None for now.

        Of a silence before that nothing follows: as likely there was nobody to carry the runs on.
        """
        self._family = Family(store)
        self._client = client
        self._began = began or now()
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def call(self, request: RollCall) -> Roll:
        """How each run stands.

        Raises:
            RPCError: Temporal cannot be asked now; worth another try.
        """
        branches = await self._family.branches(request.workflow_ids)
        asked = {*request.workflow_ids}
        for branch in branches.values():
            asked.update(branch.open_below)
        runs = dict(zip(asked, await asyncio.gather(*map(self._describe, asked)), strict=True))
        return Roll(
            present=tuple(
                self._present(each, branches.get(each), runs) for each in request.workflow_ids
            )
        )

    async def _describe(self, workflow_id: str) -> WorkflowExecutionDescription | None:
        async with self._room:
            return await describe(self._client, workflow_id)

    def _present(
        self,
        workflow_id: str,
        branch: Branch | None,
        runs: Mapping[str, WorkflowExecutionDescription | None],
    ) -> Present:
        described = runs[workflow_id]
        is_over = not _is_open(described)
        if branch is not None and branch.result is None:
            # What they spend counts: one whose parent was terminated is cancelled, and ends soon.
            is_over = is_over and not any(_is_open(runs[each]) for each in branch.open_below)
        return Present(
            workflow_id=workflow_id,
            run=branch.run if branch else None,
            is_over=is_over,
            result=_result(branch, described) if is_over else None,
            spent=_spent(branch),
            silent_seconds=self._silence(workflow_id, branch, runs),
        )

    def _silence(
        self,
        workflow_id: str,
        branch: Branch | None,
        runs: Mapping[str, WorkflowExecutionDescription | None],
    ) -> float:
        if branch is None or any(_rests(runs[each]) for each in (workflow_id, *branch.open_below)):
            return 0.0
        return max(0.0, (now() - max(branch.news, self._began)).total_seconds())


def _is_open(described: WorkflowExecutionDescription | None) -> bool:
    return described is not None and described.status is WorkflowExecutionStatus.RUNNING


def _rests(described: WorkflowExecutionDescription | None) -> bool:
    """Whether it waits, or is paused: the workflow itself says so to Temporal."""
    if described is None or not _is_open(described):
        return False
    return described.typed_search_attributes.get(AGENT_STATUS) in _SILENT_BY_RIGHT


def _spent(branch: Branch | None) -> Spent:
    if branch is None:
        return Spent()
    if branch.result is not None:
        return Spent(steps=branch.result.steps, usage=branch.result.usage)
    return branch.spent


def _result(branch: Branch | None, described: WorkflowExecutionDescription | None) -> AgentResult:
    """The recorded one, or why there is none."""
    if branch is not None and branch.result is not None:
        return branch.result.beginning
    status = described.status if described else None
    spent = _spent(branch)
    return AgentResult(
        status=RunStatus.CANCELLED
        if status is WorkflowExecutionStatus.CANCELED
        else RunStatus.FAILED,
        answer="",
        reason=_ENDS.get(status, _BROKEN) if status else _UNKNOWN,
        head=branch.head if branch else None,
        steps=spent.steps,
        usage=spent.usage,
    )
